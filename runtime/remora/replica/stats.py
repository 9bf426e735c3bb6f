"""What user code records for its policy: `record_autoscaling_stats`, over the look-back period. Pure.

Ray Serve's rule for a mean: a value holds until the next one, so it weighs as much as the time that it held
(`AutoscalingConfig.aggregation_function`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

METHOD: Final = "record_autoscaling_stats"
MAX_NAMES: Final = 100
"""Of values that one replica records."""


@dataclass(frozen=True, slots=True)
class TimeStampedValue:
    """One value, in Ray Serve's names."""

    timestamp: float
    """Seconds of Unix time."""
    value: float


Series = Mapping[str, Sequence[TimeStampedValue]]
"""By the value's name, oldest first."""


@dataclass(slots=True)
class Window:
    """What one replica has recorded of late."""

    series: dict[str, list[TimeStampedValue]] = field(default_factory=dict)

    def add(self, recorded: Any, now: float) -> None:
        """Take in what the method returned; raise TypeError or ValueError for what is no dict of numbers."""
        if not isinstance(recorded, Mapping) or not all(_is_number(value) for value in recorded.values()):
            raise TypeError(f"it returned {recorded!r}, and must return a dict of names and numbers")
        if len({*self.series, *recorded}) > MAX_NAMES:
            raise ValueError(f"it returned more than {MAX_NAMES} names")
        for name, value in recorded.items():
            self.series.setdefault(str(name), []).append(TimeStampedValue(now, float(value)))

    def since(self, begin: float) -> dict[str, tuple[TimeStampedValue, ...]]:
        """Return what is not older than `begin`, and forget the rest."""
        kept = {name: [it for it in values if it.timestamp >= begin] for name, values in self.series.items()}
        self.series = {name: values for name, values in kept.items() if values}
        return {name: tuple(values) for name, values in self.series.items()}


def aggregated(values: Sequence[TimeStampedValue], function: str, now: float) -> float:
    """Return the `mean`, `max` or `min` of a period that ends now; there is at least one value."""
    if function == "max":
        return max(it.value for it in values)
    if function == "min":
        return min(it.value for it in values)
    held = [(one.value, then.timestamp - one.timestamp) for one, then in pairwise(values)]
    held.append((values[-1].value, max(0.0, now - values[-1].timestamp)))
    total = math.fsum(seconds for _, seconds in held)
    # By shares: products with the smallest of all times would be rounded to the next whole one of them.
    return math.fsum(value * (seconds / total) for value, seconds in held) if total > 0 else values[-1].value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
