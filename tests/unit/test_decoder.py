"""Frames come out of a connection's buffer as they went in, and the buffer goes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.errors import ProtocolError
from remora.transport import frames
from remora.transport.buffers import BUFFER_BYTES, Buffers
from remora.transport.decoder import Decoder
from remora.transport.frames import DATA, END, MAX_PART_BYTES, MAX_PAYLOAD_BYTES, REQUEST, Frame, encode

FRAMES = st.lists(
    st.tuples(
        st.sampled_from([REQUEST, REQUEST | END, DATA, DATA | END, frames.PING]),
        st.integers(0, 2**32 - 1),
        st.one_of(st.binary(max_size=300), st.integers(0, MAX_PART_BYTES).map(lambda size: b"x" * size)),
    ),
    max_size=20,
)


def fed(decoder: Decoder, wire: bytes) -> list[Frame]:
    """Read ``wire`` as a socket would: as much as there is room for, again and again."""
    received: list[Frame] = []
    while wire:
        room = decoder.room()
        size = min(len(room), len(wire))
        room[:size] = wire[:size]
        received += decoder.filled(size)
        wire = wire[size:]
    return received


@given(FRAMES, st.data())
def test_frames_come_out_as_they_went_in_however_they_are_cut(sent: list[Frame], data: st.DataObject) -> None:
    wire = b"".join(encode(*frame) for frame in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=10)))
    decoder = Decoder(MAX_PAYLOAD_BYTES)
    received = []
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        received += fed(decoder, wire[start:end])
    assert received == sent


def test_a_byte_at_a_time_is_enough() -> None:
    decoder = Decoder(MAX_PAYLOAD_BYTES)
    wire = encode(REQUEST, 7, b"payload")
    assert [frame for byte in wire for frame in fed(decoder, bytes((byte,)))] == [(REQUEST, 7, b"payload")]


def test_frames_of_the_largest_size_follow_each_other() -> None:
    decoder = Decoder(MAX_PAYLOAD_BYTES)
    sent = [(REQUEST, number, bytes((number,)) * MAX_PAYLOAD_BYTES) for number in range(1, 10)]
    wire = b"".join(encode(*frame) for frame in sent)
    received = [frame for at in range(0, len(wire), 50_000) for frame in fed(decoder, wire[at : at + 50_000])]
    assert received == sent


def test_payloads_stay_when_the_buffer_is_filled_again() -> None:
    decoder = Decoder(MAX_PAYLOAD_BYTES)
    first = fed(decoder, encode(DATA, 1, b"a" * MAX_PART_BYTES))
    fed(decoder, encode(DATA, 1, b"b" * MAX_PART_BYTES))
    assert first == [(DATA, 1, b"a" * MAX_PART_BYTES)]


def test_a_buffer_is_borrowed_only_while_a_frame_is_incomplete() -> None:
    buffers = Buffers()
    one, other = Decoder(MAX_PAYLOAD_BYTES, buffers), Decoder(MAX_PAYLOAD_BYTES, buffers)
    wire = encode(DATA, 1, b"x" * 100)
    lent = one.room()
    assert len(lent) == BUFFER_BYTES
    assert fed(one, wire) == [(DATA, 1, b"x" * 100)]
    assert other.room().obj is lent.obj
    assert fed(other, wire[:50]) == []
    assert one.room().obj is not lent.obj
    assert fed(one, wire) == fed(other, wire[50:]) == [(DATA, 1, b"x" * 100)]


def test_a_stranger_is_lent_little_until_it_is_known() -> None:
    decoder = Decoder()
    assert len(decoder.room()) < MAX_PART_BYTES
    wire = encode(frames.WELCOME, 0, b"proof") + encode(REQUEST, 1, b"y" * 5_000)
    received = []
    for at in range(0, len(wire), 100):
        cut = wire[at : at + 100]
        decoder.room()[: len(cut)] = cut
        for frame in decoder.filled(len(cut)):
            received.append(frame)
            decoder.limit = MAX_PAYLOAD_BYTES
    assert received[1:] == [(REQUEST, 1, b"y" * 5_000)]
    assert len(decoder.room()) == BUFFER_BYTES


def test_the_limit_that_a_frame_raises_holds_for_what_came_right_behind_it() -> None:
    decoder = Decoder()
    room = decoder.room()
    wire = encode(frames.WELCOME, 0, b"proof") + encode(frames.FACTS, 0, b"f" * 400)
    room[: len(wire)] = wire
    received = []
    for frame in decoder.filled(len(wire)):
        received.append(frame[0])
        decoder.limit = MAX_PAYLOAD_BYTES
    assert received == [frames.WELCOME, frames.FACTS]


def test_too_large_a_frame_is_refused_by_its_header_alone() -> None:
    with pytest.raises(ProtocolError, match="exceeds the limit"):
        fed(Decoder(MAX_PAYLOAD_BYTES), frames.HEADER.pack(MAX_PAYLOAD_BYTES + 1, REQUEST, 1))


@pytest.mark.parametrize("kind", [DATA, DATA | END, frames.MESSAGE])
def test_parts_of_bodies_have_their_own_limit(kind: int) -> None:
    assert fed(Decoder(MAX_PAYLOAD_BYTES), frames.HEADER.pack(frames.MAX_PART_BYTES, kind, 1)) == []
    with pytest.raises(ProtocolError):
        fed(Decoder(MAX_PAYLOAD_BYTES), frames.HEADER.pack(frames.MAX_PART_BYTES + 1, kind, 1))


def test_before_the_handshake_only_small_frames_pass() -> None:
    with pytest.raises(ProtocolError):
        fed(Decoder(), frames.HEADER.pack(frames.MAX_HANDSHAKE_BYTES + 1, frames.PROOF, 0))
