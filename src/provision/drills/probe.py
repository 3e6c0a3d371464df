"""Measures from outside how long something is away: a request every 50 ms, each over a connection of its own."""

from __future__ import annotations

import http.client
import re
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

INTERVAL = 0.05
TIMEOUT = 1.0


@dataclass(frozen=True)
class Answer:
    """One request: when it began (seconds of the monotonic clock), whether it was answered well, and if not, why."""

    at: float
    ok: bool
    why: str = ""


def gaps(answers: Sequence[Answer]) -> list[float]:
    """The times without an answer, in seconds: from the last good request before each to the first good one after."""
    return [end - start for start, end in gap_spans(answers)]


def gap_spans(answers: Sequence[Answer]) -> list[tuple[float, float]]:
    """When each of the `gaps` began and ended, on the clock of the answers."""
    found: list[tuple[float, float]] = []
    last_good: float | None = None
    away = False
    for answer in sorted(answers, key=lambda answer: answer.at):
        if not answer.ok:
            away = True
            continue
        if away and last_good is not None:
            found.append((last_good, answer.at))
        last_good, away = answer.at, False
    return found


def reasons(answers: Iterable[Answer]) -> Counter[str]:
    """Why requests got no good answer, and how often each."""
    return Counter(re.sub(r" after [0-9.]+ s$", "", answer.why) for answer in answers if not answer.ok)


class Series:
    """Asks again and again until it is left; a context manager. A request that hangs keeps no other one waiting."""

    def __init__(self, ask: Callable[[], bool], interval: float = INTERVAL) -> None:
        """`ask` makes one request and says whether it was answered well; an OSError or HTTPException is a no."""
        self._ask, self._interval = ask, interval
        self._answers: list[Answer] = []
        self._stop = threading.Event()
        self._requests: list[threading.Thread] = []
        self._clock = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._clock.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._clock.join()
        for request in self._requests:
            request.join()

    @property
    def answers(self) -> list[Answer]:
        """What was asked so far, in no order."""
        return list(self._answers)

    @property
    def gap(self) -> float:
        """The longest time without an answer, in seconds; 0 when it was never away."""
        return max(gaps(self.answers), default=0.0)

    def steady(self, seconds: float) -> bool:
        """Whether all that was asked in the last `seconds` was answered well; what is still open does not count."""
        since = time.monotonic() - seconds
        recent = [answer.ok for answer in self.answers if answer.at >= since]
        return bool(recent) and all(recent)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            request = threading.Thread(target=self._request, daemon=True)
            request.start()
            self._requests = [each for each in self._requests if each.is_alive()] + [request]
            due += self._interval
            self._stop.wait(max(0.0, due - time.monotonic()))

    def _request(self) -> None:
        at = time.monotonic()
        try:
            ok, why = self._ask(), ""
        except (OSError, http.client.HTTPException) as error:
            ok, why = False, f"{type(error).__name__} {error} after {time.monotonic() - at:.2f} s"
        self._answers.append(Answer(at, ok, why))


class Prober(Series):
    """Asks an API server for /livez, as somebody without credentials.

    Any HTTP answer but 5xx counts: an API server that refuses an anonymous request is alive. Not for /readyz: that one
    fails on purpose some seconds before an API server stops, while all other requests are served still.
    """

    def __init__(self, address: str, port: int) -> None:
        self._address, self._port = address, port
        self._tls = ssl.create_default_context()
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE
        super().__init__(self._ready)

    def _ready(self) -> bool:
        connection = http.client.HTTPSConnection(self._address, self._port, timeout=TIMEOUT, context=self._tls)
        try:
            connection.request("GET", "/livez")
            answer = connection.getresponse()
            if answer.status >= 500:
                raise http.client.HTTPException(f"{answer.status} {answer.read(300)!r}")
            return True
        finally:
            connection.close()
