"""The rows of the table, a module each: its FIGURES with their goals, and `measure`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from benchmarks.bench import Bench, Recorder
from benchmarks.goals import Figure


class Row(Protocol):
    """What a module of this package holds."""

    FIGURES: Sequence[Figure]

    def measure(self, bench: Bench) -> Recorder:
        """Measure the row's figures on all sides."""
        ...


NAMES = (
    "noop",
    "chain",
    "fastapi",
    "echo",
    "stream",
    "awaits",
    "handles",
)
"""In the order of the table; ``ROWS=noop,chain`` chooses some."""

BY_NAME = ("balance", "overload", "first_answer", "scale", "idle")
"""Written and not yet seen through on every side: measured only when asked for, ``ROWS=balance``."""
