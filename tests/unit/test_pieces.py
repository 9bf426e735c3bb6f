"""Pieces of a body stay what they are, unless they are small."""

from __future__ import annotations

from remora.proxy.pieces import Pieces
from remora.transport.writing import LARGE_BYTES


def test_large_pieces_are_handed_on_as_they_came() -> None:
    first, second = b"a" * LARGE_BYTES, b"b" * LARGE_BYTES
    pieces = Pieces()
    pieces += first
    pieces += second
    assert len(pieces) == 2 * LARGE_BYTES
    taken = pieces.taken()
    assert taken[0] is first
    assert taken[1] is second
    assert bytes(pieces) == first + second


def test_small_pieces_are_handed_on_in_one() -> None:
    pieces = Pieces()
    for _ in range(100):
        pieces += b"chunk"
    assert pieces.taken() == [b"chunk" * 100]


def test_nothing_is_one_empty_piece() -> None:
    assert not Pieces()
    assert Pieces().taken() == [b""]
