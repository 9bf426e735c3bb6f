"""Stages: what may come after a deployment. Each takes one value and gives one.

Pure. A stage is a bound deployment, or one of the forms below, which hold stages in turn. Users make them with what
`chain` gives an Application or a node; `handle.flow` performs them on the replica that the value is on, where the bound
deployments have become handles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Stage = Any
"""An Application (a handle on a replica), a node, or one of the classes below."""

Predicate = Any
"""A Condition, conditions that must all hold, a function of the value, an Application that is asked, or a node."""


@dataclass(frozen=True, slots=True, eq=False)
class Unchanged:
    """The value passes as it is."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One branch of a switch, and when it is taken."""

    predicate: Predicate
    stage: Stage


@dataclass(frozen=True, slots=True, eq=False)
class Switch:
    """The first case whose predicate holds takes the value; else `otherwise`; a value that fits nowhere is refused."""

    cases: tuple[Case, ...]
    otherwise: Stage | None = None
    name: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Ensemble:
    """All branches get the value at the same time; the result is a dict by their keys, or a list without keys."""

    branches: tuple[Stage, ...]
    keys: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Splitter:
    """One branch gets the value, chosen by chance: each as often as its weight says."""

    branches: tuple[Stage, ...]
    weights: tuple[int, ...]
    name: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Sequence:
    """One stage after the other: each gets what the one before returned."""

    stages: tuple[Stage, ...]
    name: str = ""


def label(stage: Stage) -> str:
    """Return the stage in words, for a message or a repr: `A`, `switch(A, B)`."""
    match stage:
        case Unchanged():
            return "unchanged"
        case Switch(cases=cases, otherwise=otherwise):
            parts = [case.stage for case in cases] + ([otherwise] if otherwise is not None else [])
        case Ensemble(branches=branches) | Splitter(branches=branches):
            parts = list(branches)
        case Sequence(stages=stages):
            parts = list(stages)
        case _:
            # An Application here, a handle on a replica; either may have methods of any name.
            kind = type(stage)
            name = "name" if hasattr(kind, "name") else "deployment_name" if hasattr(kind, "deployment_name") else ""
            return str(getattr(stage, name)) if name else repr(stage)
    return f"{type(stage).__name__.lower()}({', '.join(label(part) for part in parts)})"
