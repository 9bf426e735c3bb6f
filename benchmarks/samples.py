"""What was measured, as numbers that may be compared: medians, spreads and ratios. Pure.

A figure of one run says little on a shared machine, and the machine differs between minutes. So sides are measured in
turns, and compared within one turn: a ratio is the median of the ratios of the turns, not the ratio of two medians.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import TypeVar

T = TypeVar("T")


def spread(samples: Sequence[float]) -> float:
    """Return how far the samples lie apart: (largest - smallest) / median; 0 for one, or when the median is 0."""
    middle = median(samples)
    return (max(samples) - min(samples)) / middle if middle else 0.0


def ratio(samples: Sequence[float], others: Sequence[float]) -> float | None:
    """Return the median over the turns of ``samples ÷ others``; None where nothing was divided.

    Both are in the order of the turns; a turn that either of them lacks, or whose divisor is 0, counts for nothing.
    """
    ratios = [sample / other for sample, other in zip(samples, others, strict=False) if other]
    return median(ratios) if ratios else None


def turns(sides: Sequence[T], rounds: int) -> Iterator[T]:
    """Yield the sides in turns; each round begins with another one, so that none always follows the same.

    Example: a, b, c in two rounds → a b c, b c a.
    """
    for number in range(rounds):
        start = number % len(sides) if sides else 0
        yield from (*sides[start:], *sides[:start])
