"""A stream's parts that arrived together are read together, and their credit is granted."""

from __future__ import annotations

import asyncio

from remora.transport.credits import GRANT_BYTES, WINDOW_BYTES
from remora.transport.frames import CREDIT, DATA, END, FAILURE, pack_u32
from remora.transport.stream import Stream


class Wire:
    """Keeps what was put."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.close()
        self.frames: list[tuple[int, int, bytes | memoryview]] = []

    def put(self, kind: int, stream: int, payload: bytes | memoryview = b"") -> None:
        self.frames.append((kind, stream, payload))

    def queue(self, stream: Stream, kind: int, payload: bytes | memoryview) -> None:
        raise AssertionError("nothing is sent here")


def arrived(*frames: tuple[int, bytes]) -> tuple[Stream, Wire]:
    wire = Wire()
    stream = Stream(wire, 7, WINDOW_BYTES)
    for kind, payload in frames:
        stream.deliver(kind, payload)
    return stream, wire


async def test_parts_are_taken_up_to_the_limit() -> None:
    stream, _ = arrived((DATA, b"bb"), (DATA, b"cc"), (DATA, b"dd"))
    pieces = [b"aa"]
    assert not stream.read_on(pieces, 5)
    assert pieces == [b"aa", b"bb", b"cc"]
    assert await stream.read() == (DATA, b"dd")


def test_the_last_part_is_told() -> None:
    stream, _ = arrived((DATA, b"b"), (DATA | END, b""))
    pieces = [b"a"]
    assert stream.read_on(pieces, 100)
    assert pieces == [b"a", b"b"]


async def test_a_frame_of_another_kind_stays() -> None:
    stream, _ = arrived((DATA, b"b"), (FAILURE | END, b"why"))
    pieces = [b"a"]
    assert not stream.read_on(pieces, 100)
    assert pieces == [b"a", b"b"]
    assert await stream.read() == (FAILURE | END, b"why")


def test_nothing_more_is_no_part() -> None:
    stream, wire = arrived()
    pieces = [b"a"]
    assert not stream.read_on(pieces, 100)
    assert pieces == [b"a"]
    assert wire.frames == []


def test_what_is_read_is_granted_again() -> None:
    stream, wire = arrived((DATA, bytes(GRANT_BYTES // 2)), (DATA, bytes(GRANT_BYTES // 2)))
    stream.read_on([], WINDOW_BYTES)
    assert wire.frames == [(CREDIT, 7, pack_u32(GRANT_BYTES))]
