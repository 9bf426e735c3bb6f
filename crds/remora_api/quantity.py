"""Quantities as Kubernetes writes them: `100m`, `1`, `512Mi`, `1.5G`, `2e9`.

Pure. Fields of the resource hold the text as it was written; these functions give the numbers behind it.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

PATTERN = r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,2})?$"
"""What the API server accepts where a quantity is wanted: Kubernetes' grammar without a sign."""

MAX_LENGTH = 32

_SCALE: dict[str, Fraction] = {
    "": Fraction(1),
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 10**3),
    **{unit: Fraction(1000**power) for power, unit in enumerate(("k", "M", "G", "T", "P", "E"), start=1)},
    **{unit: Fraction(1024**power) for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)},
}


def parse(text: str) -> Fraction:
    """Return the exact number that a quantity stands for; ValueError says what is wrong with any other text."""
    match = re.fullmatch(PATTERN, text) if len(text) <= MAX_LENGTH else None
    if match is None:
        raise ValueError(f"{text!r} is no quantity; write for instance 500m, 2, 512Mi or 1.5G")
    number, _, suffix = match.groups(default="")
    if suffix[:1] in ("e", "E") and suffix[1:].lstrip("+-").isdigit():
        return Fraction(number) * Fraction(10) ** int(suffix[1:])
    return Fraction(number) * _SCALE[suffix]


def milli(text: str) -> int:
    """Return thousandths, rounded up as Kubernetes does: `1` is 1000, `100m` is 100, `1u` is 1."""
    return math.ceil(parse(text) * 1000)


def whole(text: str) -> int:
    """Return whole units, rounded up: bytes for memory (`1Ki` is 1024), pieces for devices."""
    return math.ceil(parse(text))
