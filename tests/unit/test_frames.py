"""Numbers and names of frames."""

from __future__ import annotations

import pytest

from remora.errors import ProtocolError
from remora.transport import frames
from remora.transport.frames import END


def test_a_number_of_a_wrong_size_is_refused() -> None:
    assert frames.unpack_u32(frames.pack_u32(70_000)) == 70_000
    with pytest.raises(ProtocolError):
        frames.unpack_u32(b"\0\0\0")


def test_no_two_kinds_are_the_same_and_none_uses_the_end_bit() -> None:
    names = [name for name in vars(frames) if name.isupper() and not name.startswith(("MAX", "HEADER", "END", "_"))]
    kinds = [getattr(frames, name) for name in names]
    assert len(set(kinds)) == len(kinds) > 15
    assert all(kind & END == 0 for kind in kinds)
