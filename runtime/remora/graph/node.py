"""Nodes: a graph of calls, written down with an InputNode before anything runs.

::

    with InputNode() as inp:
        output = model.predict.bind(preprocess.bind(inp))

Pure. A node knows the deployment that it calls and the nodes whose results it takes, so the last node is the graph.
Bound to a constructor (`DAGDriver.bind(output)`) it travels in the definition like any argument, with handles in the
place of its deployments, and `output.remote(1)` runs it there (`handle.flow`). Nodes are made from the inside out:
they cannot form a cycle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, Self

from remora.errors import GraphError
from remora.graph.application import Application
from remora.graph.chain import Chainable
from remora.graph.stage import Stage, label
from remora.graph.walk import find


@dataclass(frozen=True, eq=False, repr=False)
class GraphNode(Chainable):
    """A value that there will be when the graph runs. Compared by identity."""

    _takes_nodes = True

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        """Run the graph up to this node on this input, on a replica; returns a DeploymentResponse."""
        from remora.handle.flow import call

        return call(self, args, kwargs)

    def __getitem__(self, key: Any) -> GraphNode:
        """Return the item of the value, as a node."""
        return Part(self, key)

    def __iter__(self) -> NoReturn:
        """Refuse: how many items there are shows when the graph runs."""
        raise GraphError(f"{self!r} cannot be iterated over while the graph is written down: take items by [0], [1], …")

    def __bool__(self) -> NoReturn:
        """Refuse: its value is not known yet."""
        raise GraphError(f"{self!r} has no value while the graph is written down: branch with .when(…), not with `if`")

    def _followed_by(self, stage: Stage) -> Staged:
        return Staged(self, stage)

    @property
    def _label(self) -> str:
        return repr(self)[1:-1]

    def __repr__(self) -> str:
        return "<node>"


@dataclass(frozen=True, eq=False, repr=False)
class InputNode(GraphNode):
    """What the graph is called with: `with InputNode() as inp:`.

    `inp` is the one argument; `inp[0]`, `inp["key"]` and `inp.key` are parts of it, or of several arguments.
    """

    input_type: Any = None
    """What the input is, for readers."""
    _state: dict[str, bool] = field(default_factory=dict)

    def __enter__(self) -> Self:
        """Begin the graph."""
        self._state["entered"] = True
        return self

    def __exit__(self, *_: object) -> None:
        """End the graph; its nodes stay."""

    @property
    def is_entered(self) -> bool:
        """Whether it came from a `with` statement."""
        return "entered" in self._state

    def __getattr__(self, name: str) -> GraphNode:
        """Return the attribute, or the argument of this name, as a node."""
        if name.startswith("_"):
            raise AttributeError(name)
        return Part(self, name, by_attribute=True)

    def __repr__(self) -> str:
        return "<input>"


@dataclass(frozen=True, eq=False, repr=False)
class Part(GraphNode):
    """An item or an attribute of a value."""

    of: GraphNode
    key: Any
    by_attribute: bool = False

    def __repr__(self) -> str:
        shown = f".{self.key}" if self.by_attribute else f"[{self.key!r}]"
        return f"<{repr(self.of)[1:-1]}{shown}>"


@dataclass(frozen=True, eq=False, repr=False)
class CallNode(GraphNode):
    """A call of a deployment's method."""

    application: Application
    """A handle, once it is on a replica."""
    method: str = "__call__"
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        name = label(self.application)
        return f"<{name}>" if self.method == "__call__" else f"<{name}.{self.method}>"


@dataclass(frozen=True, eq=False, repr=False)
class Staged(GraphNode):
    """A value with a stage after it."""

    of: GraphNode
    stage: Stage

    def __repr__(self) -> str:
        return f"<{repr(self.of)[1:-1]} → {label(self.stage)}>"


def call_of(application: Application, method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> CallNode:
    """Return the node of a call; raise GraphError when an InputNode among its arguments was not entered."""
    node = CallNode(application, method, args, kwargs)
    _check_inputs(node, application.name)
    return node


def check_arguments(deployment: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Raise GraphError unless each node among a constructor's arguments is a whole graph with one input."""
    for node in find(GraphNode, (args, kwargs)):
        if isinstance(node, InputNode) or (isinstance(node, Part) and _is_of_input(node)):
            raise GraphError(
                f"deployment {deployment!r}: the input of a graph cannot be a constructor's argument: constructors run "
                f"once, the input comes with each request; give it to a method: {deployment}.bind(…).method.bind(inp)"
            )
        _check_inputs(node, deployment)


def _check_inputs(node: GraphNode, deployment: str) -> None:
    inputs = list(_inputs(node))
    if any(not one.is_entered for one in inputs):
        raise GraphError(
            f"deployment {deployment!r}: an InputNode is used outside of a graph: write `with InputNode() as inp:` "
            "and bind inp inside"
        )
    if len(inputs) > 1:
        raise GraphError(
            f"deployment {deployment!r}: its graph has {len(inputs)} InputNodes: a graph has one input; take its "
            "parts with inp[0], inp[1] or inp.name"
        )


def _inputs(node: GraphNode) -> Iterator[InputNode]:
    """Yield the inputs of a graph, and not those of other graphs that its deployments are bound to."""
    for found in find((InputNode, Application), node):
        if isinstance(found, InputNode):
            yield found


def _is_of_input(part: Part) -> bool:
    of: GraphNode = part
    while isinstance(of, Part):
        of = of.of
    return isinstance(of, InputNode)
