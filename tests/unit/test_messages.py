"""Heads and pickled values as bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.errors import ProtocolError
from remora.transport.frames import MAX_PART_BYTES
from remora.transport.messages import (
    CallHead,
    HeadTooLarge,
    ResponseHead,
    assemble,
    cut_message,
    pack,
    parts_of,
    sizes_of,
    unpack,
    unpack_message,
)
from remora.types import CallMetadata, Payload


def test_a_head_and_its_part_come_apart_again() -> None:
    metadata = CallMetadata("id", "m", True, 1.5, "model", "session", "/r", {"traceparent": "t"})
    head, part = unpack(CallHead, pack(CallHead.of(metadata, [3, 4]), b"part"))
    assert (head.metadata, head.sizes, part) == (metadata, [3, 4], b"part")


@pytest.mark.parametrize("payload", [b"", b"\0\0\0\5abc", b"\xff\xff\xff\xff", b"\0\0\0\1\xc0"])
def test_a_malformed_head_is_a_protocol_error(payload: bytes) -> None:
    with pytest.raises(ProtocolError, match="ResponseHead"):
        unpack(ResponseHead, payload)


def test_too_many_headers_are_refused() -> None:
    with pytest.raises(HeadTooLarge):
        pack(ResponseHead(200, [(b"x", b"y" * 70_000)], 0))


@given(st.binary(max_size=200_000), st.lists(st.binary(max_size=100_000), max_size=3))
def test_a_value_survives_being_cut(data: bytes, buffers: list[bytes]) -> None:
    payload = Payload(data, tuple(memoryview(buffer) for buffer in buffers))
    parts = list(parts_of(payload))
    assert all(len(part) <= MAX_PART_BYTES for part in parts)
    assert all(parts[1:]), "an empty part"
    back = assemble(sizes_of(payload), b"".join(parts))
    assert back.data == data
    assert [bytes(buffer) for buffer in back.buffers] == buffers


@pytest.mark.parametrize("size", [0, 100, 65_000, 66_000, 300_000])
def test_a_message_survives_being_cut(size: int) -> None:
    message = {"type": "websocket.send", "bytes": b"x" * size, "text": None}
    parts = list(cut_message(message))
    assert all(len(part) <= MAX_PART_BYTES for part in parts)
    assert [part[0] for part in parts] == [0] * (len(parts) - 1) + [1]
    assert unpack_message(b"".join(part[1:] for part in parts)) == message
