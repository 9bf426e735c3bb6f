"""Which of several replicas takes a request: the less loaded of two drawn at random. Pure.

Two choices keep the largest queue short without everyone running to the same replica; what a replica reported with its
last answer counts the requests of other routers. That report grows old while nothing is sent there, so it counts for
less with every choice that it decides: else a replica that was busy once would never be asked again.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Protocol, TypeVar


class Candidate(Protocol):
    """What the choice looks at."""

    @property
    def load(self) -> int:
        """Requests that are known to be on the replica, from here and from elsewhere."""
        ...

    @property
    def has_room(self) -> bool:
        """Whether it may take one more."""
        ...

    def passed_over(self) -> None:
        """Another was taken because its load is lower."""
        ...


AnyCandidate = TypeVar("AnyCandidate", bound=Candidate)


def choose(candidates: Sequence[AnyCandidate], rng: Random) -> AnyCandidate | None:
    """Return the less loaded of two random candidates that have room; None if none has."""
    count = len(candidates)
    if count == 0:
        return None
    if count == 1:
        return candidates[0] if candidates[0].has_room else None
    first = int(rng.random() * count)
    # Drawn among the others, so that the two differ.
    second = (first + 1 + int(rng.random() * (count - 1))) % count
    a, b = candidates[first], candidates[second]
    if a.has_room and b.has_room:
        if a.load == b.load:
            return a
        lower, higher = (a, b) if a.load < b.load else (b, a)
        higher.passed_over()
        return lower
    if a.has_room:
        return a
    if b.has_room:
        return b
    roomy = [candidate for candidate in candidates if candidate.has_room]
    return min(roomy, key=lambda candidate: candidate.load) if roomy else None


def loads_elsewhere(reported: int, own: int) -> int:
    """Return how many requests of other routers a replica had when it reported ``reported`` while it had ``own``.

    The report counts the request that it answers, which is among ``own`` until the answer is complete.
    """
    return max(0, reported - own)
