from __future__ import annotations

import http.server
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from provision.drills.probe import Answer, Prober, gaps


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ([], []),
        ([(0, True), (1, True)], []),
        ([(0, True), (1, False), (2, False), (3, True), (4, True)], [3]),
        ([(0, False), (1, True), (2, False), (3, True)], [2]),
        ([(3, True), (1, False), (0, True), (2, False)], [3]),
        ([(0, True), (1, False)], []),
    ],
)
def test_a_gap_is_from_the_last_good_answer_to_the_next(answers: list[tuple[float, bool]], found: list[float]) -> None:
    assert gaps([Answer(*answer) for answer in answers]) == found


class _Refusing(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


def _wait_for(seen: Callable[[], bool]) -> None:
    limit = time.monotonic() + 10
    while not seen():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_a_refused_request_is_an_answer_and_a_closed_port_is_not(tmp_path: Path) -> None:
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", tmp_path / "key", "-out", tmp_path / "crt", "-subj", "/CN=x", "-days", "1"]
    subprocess.run([*make, *files], check=True, capture_output=True)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Refusing)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()

    with Prober("127.0.0.1", server.server_port) as prober:
        _wait_for(lambda: any(answer.ok for answer in prober.answers))
        server.shutdown()
        server.server_close()
        _wait_for(lambda: any(not answer.ok for answer in prober.answers))

    answers = sorted(prober.answers, key=lambda answer: answer.at)
    assert answers[0].ok
    assert not answers[-1].ok
