"""A stream of 1,000 chunks, read by one client as fast as it comes."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from statistics import median
from urllib.parse import urlsplit

from benchmarks.bench import Bench, Recorder
from benchmarks.goals import Figure, Goal
from benchmarks.sides import Host

CHUNKS = 1000
END = b"0\r\n\r\n"
FIGURES = (
    Figure("stream_chunks", "stream of 1,000 chunks", "chunks/s", (Goal("at least", 120_000),)),
    Figure("stream_first", "stream, first byte", "ms", (Goal("at most", 1),), 2),
)


def is_whole(answer: bytes) -> bool:
    """Return whether a chunked answer has ended (RFC 9112, 7.1; no trailers here)."""
    return answer.endswith(END)


def one(connection: socket.socket, host: str) -> tuple[float, float]:
    """Ask once; return the seconds to the first byte and to the last."""
    began = time.perf_counter()
    connection.sendall(b"GET / HTTP/1.1\r\nHost: " + host.encode() + b"\r\n\r\n")
    data = connection.recv(1 << 18)
    first = time.perf_counter() - began
    tail = data[-len(END) :]
    while not is_whole(tail):
        data = connection.recv(1 << 18)
        if not data:
            raise ValueError("the stream was cut off")
        tail = (tail + data)[-len(END) :]
    return first, time.perf_counter() - began


def of(url: str, seconds: float) -> Mapping[str, float]:
    """Ask again and again on one connection, and return the figures."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=10) as connection:
        end = time.perf_counter() + seconds
        seen = []
        while time.perf_counter() < end:
            seen.append(one(connection, parts.netloc))
    return {
        "stream_chunks": CHUNKS * len(seen) / sum(last for _, last in seen),
        "stream_first": median(first for first, _ in seen) * 1000,
    }


def measure(bench: Bench) -> Recorder:
    """Ask every side in turns."""

    def take(host: Host, seconds: float) -> Mapping[str, float]:
        return of(host.url, seconds)

    return bench.interleaved("chunks", take)
