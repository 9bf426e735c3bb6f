"""Chains: `then`, `when`, `fan_out` and `split`, the words that put stages after an application or a node. Pure.

A stage may be given in many ways, as a class or a Deployment say; what is put there is always one of `stage`.
"""

from __future__ import annotations

import inspect
from typing import Any

from remora.errors import GraphError
from remora.graph.condition import Condition
from remora.graph.stage import Case, Ensemble, Predicate, Sequence, Splitter, Stage, Switch, Unchanged


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
