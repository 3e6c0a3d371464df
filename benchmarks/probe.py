"""Measures how long an API is away: a request every 50 ms, each over a fresh TLS connection."""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

INTERVAL = 0.05
TIMEOUT = 1.0


@dataclass(frozen=True)
class Answer:
    """One request: when it began (seconds of the monotonic clock), and whether the API answered it."""

    at: float
    ok: bool


def gaps(answers: Sequence[Answer]) -> list[float]:
    """The times without the API, in seconds: from the last good request before each to the first good one after it."""
    found, last_good, away = [], None, False
    for answer in sorted(answers, key=lambda answer: answer.at):
        if not answer.ok:
            away = True
            continue
        if away and last_good is not None:
            found.append(answer.at - last_good)
        last_good, away = answer.at, False
    return found


class Prober:
    """Asks an address for /readyz until it is left; a context manager.

    Any HTTP answer but 5xx counts: an API server that refuses an anonymous request is alive.
    """

    def __init__(self, address: str, port: int) -> None:
        self._address, self._port = address, port
        self._answers: list[Answer] = []
        self._stop = threading.Event()
        self._requests: list[threading.Thread] = []
        self._clock = threading.Thread(target=self._run, daemon=True)
        self._tls = ssl.create_default_context()
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE

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
        """What was asked so far, in no order: a request that hangs does not keep the next one waiting."""
        return list(self._answers)

    @property
    def gap(self) -> float:
        """The longest time without the API, in seconds; 0 when it was never away."""
        return max(gaps(self.answers), default=0.0)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            request = threading.Thread(target=self._ask, daemon=True)
            request.start()
            self._requests = [each for each in self._requests if each.is_alive()] + [request]
            due += INTERVAL
            self._stop.wait(max(0.0, due - time.monotonic()))

    def _ask(self) -> None:
        at = time.monotonic()
        connection = http.client.HTTPSConnection(self._address, self._port, timeout=TIMEOUT, context=self._tls)
        try:
            connection.request("GET", "/readyz")
            ok = connection.getresponse().status < 500
        except (OSError, http.client.HTTPException):
            ok = False
        finally:
            connection.close()
        self._answers.append(Answer(at, ok))
