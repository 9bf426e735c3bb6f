"""What Remora wants to reach, figure by figure, and whether it did. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import Literal

from benchmarks.samples import ratio


class Side(StrEnum):
    """What is measured."""

    BARE = "bare"
    """Bare uvicorn, or whatever else the row compares with: a bare Ray driver, a bare actor, bare frames."""
    DEFAULT = "Ray Serve, default"
    BEST = "Ray Serve, best"
    REMORA = "Remora"


Samples = Mapping[Side, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Goal:
    """``remora`` (minus or divided by ``of``, if given) is ``at_least`` or ``at_most`` ``limit``."""

    bound: Literal["at least", "at most"]
    limit: float
    of: Side | None = None
    by: Literal["times", "plus"] = "times"

    def reached(self, samples: Samples) -> float | None:
        """Return the number that is held against the limit; None when a side was not measured."""
        ours = samples.get(Side.REMORA)
        if not ours:
            return None
        if self.of is None:
            return median(ours)
        theirs = samples.get(self.of)
        if not theirs:
            return None
        return ratio(ours, theirs) if self.by == "times" else median(ours) - median(theirs)

    def is_met(self, samples: Samples) -> bool | None:
        """Return whether the goal is reached; None when that was not measured."""
        reached = self.reached(samples)
        if reached is None:
            return None
        return reached >= self.limit if self.bound == "at least" else reached <= self.limit


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    key: str
    title: str
    unit: str
    goals: tuple[Goal, ...] = ()
    digits: int = 0
    """After the point."""
