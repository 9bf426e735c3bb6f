"""Stages: what may come after a deployment. Each takes one value and gives one.

Pure. A stage is a bound deployment, or one of the forms below, which hold stages in turn. Users make them with `then`,
`when`, `fan_out` and `split` of an Application or a node; `handle.flow` performs them on the replica that the value is
on, where the bound deployments have become handles.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from remora.errors import GraphError
from remora.graph.condition import Condition

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


class Chainable:
    """What stages can be put after: gives Application and nodes the same four words."""

    __slots__ = ()

    def _followed_by(self, stage: Stage) -> Any:
        raise NotImplementedError

    @property
    def _label(self) -> str:
        raise NotImplementedError

    _takes_nodes = False

    def then(self, stage: Stage) -> Any:
        """Return this with a stage after it: what this returns is the stage's input.

        A stage is an Application, a Deployment (bound without arguments), or a plain class or function.
        """
        return self._followed_by(self._stage(stage, "then()"))

    def when(self, predicate: Predicate, then: Stage = None, otherwise: Stage = None) -> Any:
        """Return this with a branch after it: `then` gets the value if the predicate holds, else `otherwise` does.

        The predicate is a function of the value, which may be async; a Condition; or a deployment that is asked.
        Only the branch that is taken runs. Without `otherwise` the value passes as it is.
        """
        if then is None:
            raise GraphError(
                f"deployment {self._label!r}: when() has no branch: write .when(predicate, then, otherwise)"
            )
        case = Case(self._predicate(predicate), self._stage(then, "when()"))
        passed = Unchanged() if otherwise is None else self._stage(otherwise, "when()")
        return self._followed_by(Switch((case,), passed))

    def fan_out(self, *stages: Stage, **named: Stage) -> Any:
        """Return this with stages after it that all get the value, at the same time.

        The result is the list of what they return, or a dict when they were given by name; `then` joins it.
        """
        if bool(stages) == bool(named):
            raise GraphError(
                f"deployment {self._label!r}: fan_out() takes stages, either all by name or none: "
                ".fan_out(a, b) gives a list, .fan_out(x=a, y=b) a dict"
            )
        branches = tuple(self._stage(stage, "fan_out()") for stage in (*stages, *named.values()))
        return self._followed_by(Ensemble(branches, tuple(named)))

    def split(self, *branches: Any) -> Any:
        """Return this with stages after it of which one gets the value: `.split((a, 90), (b, 10))`, by weight."""
        if not branches or not all(isinstance(one, tuple) and len(one) == 2 for one in branches):
            raise GraphError(
                f"deployment {self._label!r}: split() takes (stage, weight) pairs: .split((a, 90), (b, 10))"
            )
        stages = tuple(self._stage(stage, "split()") for stage, _ in branches)
        weights = tuple(weight for _, weight in branches)
        if not all(isinstance(weight, int) and weight >= 0 for weight in weights) or sum(weights) <= 0:
            raise GraphError(f"deployment {self._label!r}: split() takes whole weights of 0 or more, not all of them 0")
        return self._followed_by(Splitter(stages, weights))

    def _stage(self, stage: object, where: str) -> Stage:
        """Return the stage, with deployments, classes and functions bound."""
        from remora.graph.application import Application
        from remora.graph.deployment import Deployment, deployment
        from remora.graph.node import GraphNode

        if isinstance(stage, Application | Unchanged | Switch | Ensemble | Splitter | Sequence):
            return stage
        if isinstance(stage, Deployment):
            return stage.alone
        if isinstance(stage, GraphNode):
            if self._takes_nodes:
                return stage
            raise GraphError(
                f"deployment {self._label!r}: {where} of an application cannot take a node of a graph: "
                "call it on a node of that graph, or pass a bound deployment"
            )
        if callable(stage):
            return deployment(stage).alone
        raise GraphError(
            f"deployment {self._label!r}: {where} takes a bound deployment, a class or a function, "
            f"and was given {type(stage).__name__}"
        )

    def _predicate(self, predicate: object) -> Predicate:
        from remora.graph.application import Application
        from remora.graph.deployment import Deployment, deployment
        from remora.graph.node import GraphNode

        if isinstance(predicate, Condition | Application):
            return predicate
        if isinstance(predicate, Deployment):
            return predicate.alone
        if isinstance(predicate, GraphNode) and self._takes_nodes:
            return predicate
        if inspect.isclass(predicate):
            return deployment(predicate).alone
        if callable(predicate) and not isinstance(predicate, GraphNode):
            return predicate
        raise GraphError(
            f"deployment {self._label!r}: when() takes a function of the value, a Condition or a deployment as its "
            f"predicate, and was given {type(predicate).__name__}"
        )


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
