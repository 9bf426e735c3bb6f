"""Affinity: which replicas suit a request better than others, because of its model or its session. Pure.

Used for requests that name one; all others go by `balancing.choose` alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from random import Random
from typing import NamedTuple, Protocol, TypeVar

from remora.router import balancing


class Affinity(NamedTuple):
    """What a request would like to find on its replica; empty means nothing."""

    model_id: str = ""
    """A multiplexed model, loaded."""
    session_id: str = ""
    """Whatever earlier requests of the session left there."""

    @classmethod
    def of(cls, model_id: str, session_id: str) -> Affinity | None:
        """Return the affinity; None when the request names neither."""
        return cls(model_id, session_id) if model_id or session_id else None


class Candidate(balancing.Candidate, Protocol):
    """What the choice looks at."""

    @property
    def name(self) -> str:
        """Unique and lasting name of the replica."""
        ...

    @property
    def models(self) -> Collection[str]:
        """Multiplexed models that it holds."""
        ...


AnyCandidate = TypeVar("AnyCandidate", bound=Candidate)


def choose(candidates: Sequence[AnyCandidate], affinity: Affinity, rng: Random) -> AnyCandidate | None:
    """Return the replica that suits best among those that have room; None if none has.

    A model: one that holds it, the less loaded of two; where none of these has room, one with the fewest models, which
    loses least by loading another. A session: the first with room in an order that only the session and the
    replicas' names make, so that replicas that come and go move few sessions (rendezvous hashing: Thaler and
    Ravishankar, 1998).
    """
    roomy = [candidate for candidate in candidates if candidate.has_room]
    if affinity.model_id:
        holding = [candidate for candidate in roomy if affinity.model_id in candidate.models]
        if not holding and roomy:
            fewest = min(len(candidate.models) for candidate in roomy)
            holding = [candidate for candidate in roomy if len(candidate.models) == fewest]
        roomy = holding
    if affinity.session_id:
        return max(roomy, key=lambda candidate: _score(affinity.session_id, candidate.name), default=None)
    return balancing.choose(roomy, rng)


def _score(session_id: str, name: str) -> bytes:
    # Not `hash`, which differs from process to process: all routers have to agree.
    return hashlib.blake2b(f"{session_id}\0{name}".encode(), digest_size=8).digest()
