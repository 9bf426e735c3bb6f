"""Quantities: the numbers behind the text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora_api import quantity


@pytest.mark.parametrize(
    ("text", "milli"),
    [("1", 1000), ("100m", 100), ("0.1", 100), (".5", 500), ("2.", 2000), ("1u", 1), ("1.0001", 1001), ("0", 0)],
)
def test_milli_counts_thousandths_and_rounds_up(text: str, milli: int) -> None:
    assert quantity.milli(text) == milli


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("1Ki", 1024),
        ("1k", 1000),
        ("1.5Gi", 3 * 2**29),
        ("128974848", 128974848),
        ("129e6", 129_000_000),
        ("129M", 129_000_000),
        ("1E3", 1000),
        ("1E", 10**18),
        ("2Ei", 2 * 2**60),
        ("128974848000m", 128974848),
        ("1e-3", 1),
    ],
)
def test_whole_counts_bytes_and_pieces(text: str, whole: int) -> None:
    assert quantity.whole(text) == whole


@pytest.mark.parametrize("text", ["", "1x", "-1", "+1", "1 Gi", "Gi", "1GiB", "1e", "0x10", "١", "1\n", "9" * 33, "."])
def test_refuses_what_is_no_quantity_and_says_what_is_one(text: str) -> None:
    with pytest.raises(ValueError, match="is no quantity; write for instance 500m"):
        quantity.parse(text)


@given(st.integers(0, 10**12))
def test_a_number_is_itself_however_it_is_written(number: int) -> None:
    assert quantity.whole(str(number)) == number
    assert quantity.milli(f"{number}m") == number
    assert quantity.parse(f"{number}Ki") == number * 1024
    assert quantity.parse(f"{number}e3") == quantity.parse(f"{number}k")
