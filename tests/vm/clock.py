"""A time server for the nodes of a network without a way out: this machine's clock, as SNTP (RFC 4330) tells it."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_SINCE_1900 = 2208988800
_PACKET = struct.Struct("!BBbb11I")
_SERVER = 0b00_100_100
"""No leap second is due, version 4, the mode of a server."""


@contextmanager
def serving(address: str) -> Iterator[None]:
    """Answer at the address until the end of the block."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 123))
        server.settimeout(0.2)
        stop = threading.Event()
        thread = threading.Thread(target=_answer, args=(server, stop))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _answer(server: socket.socket, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            asked, sender = server.recvfrom(512)
        except TimeoutError:
            continue
        if len(asked) >= _PACKET.size:
            server.sendto(_reply(asked), sender)


def _reply(asked: bytes) -> bytes:
    now = _stamp()
    sent = struct.unpack_from("!2I", asked, 40)
    # Stratum 1, precise to a microsecond, no root delay, and the reference is the clock itself.
    return _PACKET.pack(
        _SERVER, 1, asked[2] if asked[2] < 128 else 6, -20, 0, 0, 0x4C4F434C, *now, *sent, *now, *_stamp()
    )


def _stamp() -> tuple[int, int]:
    seconds = time.time() + _SINCE_1900
    return int(seconds), int(seconds % 1 * (1 << 32))
