"""First step of the demo: where it runs, and why. Pure; `facts` gathers what this decides on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """Where a demo can run."""

    CONTEXT = "a cluster of yours"
    KIND = "kind"
    PROVING_GROUND = "the proving ground"
    LOCAL = "local mode"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the machine: a reason is the sentence that says why something cannot be used."""

    context: str | None
    kind_missing: str | None
    """None when a Docker engine answers, and kind, kubectl and helm are there."""
    ground_missing: str | None
    """None when this machine can host the proving ground."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Where to run, and the sentence for the user."""

    kind: Kind
    why: str


def choose(facts: Facts) -> Choice:
    """Return the first place that can be used: the named context, kind, the proving ground, local mode.

    A cluster that was not named is never used, whatever kubeconfig says.
    """
    if facts.context:
        return Choice(Kind.CONTEXT, f"CONTEXT={facts.context} was given")
    if facts.kind_missing is None:
        return Choice(Kind.KIND, "a Docker engine and kind are there, and no CONTEXT was given")
    if facts.ground_missing is None:
        return Choice(Kind.PROVING_GROUND, f"{facts.kind_missing}; this machine can run Kubernetes by itself")
    return Choice(Kind.LOCAL, f"{facts.kind_missing}; {facts.ground_missing}")
