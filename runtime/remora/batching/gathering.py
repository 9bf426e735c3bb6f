"""Gathering: items that wait until they make a batch, and when they do.

Pure: times come as arguments. `queue` keeps one for each instance and model, and asks it after every change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Measure = Callable[[list[Any]], int]
"""Size of a batch of items, in whatever unit `Limits.max_size` has."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a batch is complete: it has `max_size`, or its oldest item has waited for `wait_s` seconds."""

    max_size: int
    wait_s: float


class Gathering(Generic[Item]):
    """Items of one kind, oldest first."""

    __slots__ = ("_fitting", "_limit", "_measure", "_waiting", "_whole")

    def __init__(self, measure: Callable[[Sequence[Item]], int] | None = None) -> None:
        """Without a measure the size of a batch is the number of its items."""
        self._measure = measure
        self._waiting: list[tuple[float, Item]] = []
        self._limit = 0
        """The `max_size` that the two below were found for."""
        self._fitting = 0
        """Items from the front that fit into one batch."""
        self._whole = False
        """Nothing more fits."""

    def __len__(self) -> int:
        return len(self._waiting)

    def __repr__(self) -> str:
        return f"<Gathering {len(self._waiting)} waiting>"

    def add(self, item: Item, now: float) -> None:
        """Let an item wait from `now` on."""
        self._waiting.append((now, item))

    def remove(self, item: Item) -> None:
        """Let go of an item that need not wait any more; nothing happens when it is not here."""
        before = len(self._waiting)
        self._waiting = [entry for entry in self._waiting if entry[1] is not item]
        if len(self._waiting) != before:
            self._limit = 0

    def due_at(self, limits: Limits) -> float | None:
        """Return when the next batch is complete: a moment in the past if it is already; None when nothing waits.

        Example: `Limits(4, 0.1)`, two items that came at 7.00 and 7.05 → 7.10; with two more → 7.00.
        """
        if not self._waiting:
            return None
        since = self._waiting[0][0]
        self._fit(limits.max_size)
        return since if self._whole else since + limits.wait_s

    def take(self, limits: Limits) -> list[Item]:
        """Remove and return the items of the next batch, one at least."""
        self._fit(limits.max_size)
        # What does not fit at all (the limit was lowered meanwhile) goes alone rather than wait for ever.
        count = max(1, self._fitting)
        taken = [item for _, item in self._waiting[:count]]
        del self._waiting[:count]
        self._limit = 0
        return taken

    def _fit(self, max_size: int) -> None:
        """Bring `_fitting` and `_whole` up to date; items that were measured already are not tried again one by one."""
        count = len(self._waiting)
        if self._measure is None:
            self._fitting, self._whole = min(count, max_size), count >= max_size
            return
        if self._limit != max_size:
            self._limit, self._fitting, self._whole = max_size, 0, False
        while not self._whole and self._fitting < count:
            size = self._measure([item for _, item in self._waiting[: self._fitting + 1]])
            if size <= max_size:
                self._fitting += 1
            self._whole = size >= max_size
