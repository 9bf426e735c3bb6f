"""Rollout: how many replicas of one deployment to start and which to take away, this step.

Pure. The planner asks for each deployment, with what is there; nothing is remembered between steps, so a change of
mind in the middle (a new version, another count, a node that leaves) is only another question.

Two promises hold whatever happens in between: taking away never brings the ready ones below
``count - max_unavailable``, and starting never brings all that occupy a node above ``count + max_surge``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from remora.types import ReplicaId


class Member(Protocol):
    """What a step has to know of a replica."""

    @property
    def id(self) -> ReplicaId: ...
    @property
    def is_ready(self) -> bool: ...
    @property
    def is_leaving(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Budget:
    """How far the number of replicas may go beyond, and below, what is wanted."""

    max_surge: int
    max_unavailable: int


@dataclass(frozen=True, slots=True)
class Step:
    """What to do now; nothing in it means wait, or done."""

    start: int = 0
    drain: tuple[ReplicaId, ...] = ()


def step(count: int, current: Sequence[Member], stale: Sequence[Member], leaving: int, budget: Budget) -> Step:
    """Return the largest step that the budget allows.

    `current` are replicas to keep, those to be kept longest first; `stale` are of another version or on a node that
    leaves; `leaving` is the number of those that are going already. They occupy their place until they are gone.

    Example: 3 wanted, surge 1, three stale ones ready → start 1. It is ready → drain 1 stale. That one is gone →
    start 1; and so on. With surge 0 and unavailable 1: drain 1 stale → start 1 → …
    """
    occupied = len(current) + len(stale) + leaving
    room = max(0, count + budget.max_surge - occupied)
    start = min(room, max(0, count - len(current)))

    # Replicas that are not ready serve nobody: taking them away costs nothing, and without surge is the way forward.
    surplus = current[count:] if count < len(current) else ()
    idle = [member.id for member in (*stale, *surplus) if not member.is_ready]
    ready = sum(member.is_ready for member in (*current, *stale))
    spare = max(0, ready - max(0, count - budget.max_unavailable))
    busy = [member.id for member in (*stale, *reversed(surplus)) if member.is_ready]
    return Step(start=start, drain=(*idle, *busy[:spare]))
