"""The frame codec."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.errors import ProtocolError
from remora.transport import frames
from remora.transport.frames import DATA, END, MAX_PAYLOAD_BYTES, REQUEST, Decoder, encode

FRAMES = st.lists(
    st.tuples(
        st.sampled_from([REQUEST, REQUEST | END, DATA, DATA | END, frames.PING]),
        st.integers(0, 2**32 - 1),
        st.binary(max_size=300),
    ),
    max_size=20,
)


@given(FRAMES, st.data())
def test_frames_come_out_as_they_went_in_however_they_are_cut(sent: list[frames.Frame], data: st.DataObject) -> None:
    wire = b"".join(encode(*frame) for frame in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=10)))
    decoder = Decoder(MAX_PAYLOAD_BYTES)
    received = []
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        received += decoder.feed(wire[start:end])
    assert received == sent


def test_a_byte_at_a_time_is_enough() -> None:
    decoder = Decoder(MAX_PAYLOAD_BYTES)
    wire = encode(REQUEST, 7, b"payload")
    assert [frame for byte in wire for frame in decoder.feed(bytes((byte,)))] == [(REQUEST, 7, b"payload")]


def test_too_large_a_frame_is_refused_by_its_header_alone() -> None:
    with pytest.raises(ProtocolError, match="exceeds the limit"):
        Decoder(MAX_PAYLOAD_BYTES).feed(frames.HEADER.pack(MAX_PAYLOAD_BYTES + 1, REQUEST, 1))


@pytest.mark.parametrize("kind", [DATA, DATA | END, frames.MESSAGE])
def test_parts_of_bodies_have_their_own_limit(kind: int) -> None:
    decoder = Decoder(MAX_PAYLOAD_BYTES)
    assert decoder.feed(frames.HEADER.pack(frames.MAX_PART_BYTES, kind, 1)) == []
    with pytest.raises(ProtocolError):
        Decoder(MAX_PAYLOAD_BYTES).feed(frames.HEADER.pack(frames.MAX_PART_BYTES + 1, kind, 1))


def test_before_the_handshake_only_small_frames_pass() -> None:
    with pytest.raises(ProtocolError):
        Decoder().feed(frames.HEADER.pack(frames.MAX_HANDSHAKE_BYTES + 1, frames.PROOF, 0))


def test_a_number_of_a_wrong_size_is_refused() -> None:
    assert frames.unpack_u32(frames.pack_u32(70_000)) == 70_000
    with pytest.raises(ProtocolError):
        frames.unpack_u32(b"\0\0\0")


def test_no_two_kinds_are_the_same_and_none_uses_the_end_bit() -> None:
    names = [name for name in vars(frames) if name.isupper() and not name.startswith(("MAX", "HEADER", "END", "_"))]
    kinds = [getattr(frames, name) for name in names]
    assert len(set(kinds)) == len(kinds) > 15
    assert all(kind & END == 0 for kind in kinds)
