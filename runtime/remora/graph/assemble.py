"""Assembles the graph that the resource describes (`spec.graph`) from the deployments of a module.

Pure, given `load`, which imports. The result is an Application like any other: the ingress `Graph`, bound to the root
node as a stage. Each name of a deployment in the graph is one deployment of the application, under that name, whatever
its class is called.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from remora.drivers.graph_ingress import Graph
from remora.errors import GraphError
from remora.graph.application import Application
from remora.graph.condition import Condition
from remora.graph.deployment import Deployment, deployment
from remora.graph.stage import Case, Ensemble, Sequence, Splitter, Stage, Switch, Unchanged
from remora_api import wire_graph

Load = Callable[[str], Any]
"""Import path to what it names; raises GraphError, or whatever the import raises."""


def assemble(module: str, graph: wire_graph.Graph, load: Load) -> Application:
    """Return the application; raise GraphError that names the node or the deployment at fault."""
    assembly = _Assembly(module, graph, load)
    root = assembly.node(graph.root, path=())
    unreached = [node.name for node in graph.nodes if node.name not in assembly.stages]
    if unreached:
        raise GraphError(
            f"graph: no way leads from {graph.root!r} to {', '.join(map(repr, unreached))}: remove or refer to it"
        )
    return Graph.bind(root)


class _Assembly:
    """The stages and deployments made so far, by name."""

    def __init__(self, module: str, graph: wire_graph.Graph, load: Load) -> None:
        self.stages: dict[str, Stage] = {}
        self._module = module
        self._nodes = {node.name: node for node in graph.nodes}
        self._given = {one.name: one for one in graph.deployments}
        self._bound: dict[str, Application] = {}
        self._load = load
        if len(self._nodes) < len(graph.nodes):
            raise GraphError("graph: two nodes have the same name")

    def node(self, name: str, path: tuple[str, ...]) -> Stage:
        """Return the node as a stage."""
        if name in path:
            between = " and ".join(map(repr, path[path.index(name) + 1 :]))
            through = f" through {between}" if between else ""
            raise GraphError(f"graph: node {name!r} leads to itself{through}; break the circle")
        if name in self.stages:
            return self.stages[name]
        node = self._nodes.get(name)
        if node is None:
            where = f"node {path[-1]!r} leads" if path else "root leads"
            raise GraphError(f"graph: {where} to {name!r}, which is no node; nodes are {', '.join(self._nodes)}")
        made = self._made(node, (*path, name))
        self.stages[name] = made
        return made

    def _made(self, node: wire_graph.GraphNode, path: tuple[str, ...]) -> Stage:
        branches = node.branches
        if not branches:
            raise GraphError(f"graph: node {node.name!r} has no branches")
        stages = tuple(self._branch(branch, path) for branch in branches)
        match node.kind:
            case "sequence":
                return Sequence(stages, node.name)
            case "ensemble":
                return Ensemble(stages, tuple(branch.name for branch in branches), node.name)
            case "splitter":
                return Splitter(stages, tuple(branch.weight for branch in branches), node.name)
            case "switch":
                last = stages[-1] if not branches[-1].when else None
                cases = tuple(
                    Case(tuple(Condition(one.field, one.operator, one.values) for one in branch.when), stage)
                    for branch, stage in zip(branches, stages, strict=True)
                )
                return Switch(cases if last is None else cases[:-1], last, node.name)
            case kind:
                raise GraphError(f"graph: node {node.name!r} is a {kind!r}, which this version does not know")

    def _branch(self, branch: wire_graph.GraphBranch, path: tuple[str, ...]) -> Stage:
        if branch.unchanged:
            return Unchanged()
        return self.node(branch.node, path) if branch.node else self._deployment(branch.deployment)

    def _deployment(self, name: str) -> Application:
        if name not in self._bound:
            self._bound[name] = _named(self._found(name), name)
        return self._bound[name]

    def _found(self, name: str) -> Application:
        if name == Graph.name:
            raise GraphError(f"graph: {name!r} is the name of the deployment that takes the requests: choose another")
        given = self._given.get(name)
        path = given.import_path if given else f"{self._module}:{name}"
        args = given.args if given else {}
        found = self._load(path)
        if not isinstance(found, Application | Deployment) and callable(found):
            found = deployment(found)
        if isinstance(found, Deployment) and (inspect.isclass(found.func_or_class) or not args):
            return found.bind(**args) if args else found.alone
        if not isinstance(found, Application | Deployment):
            raise GraphError(
                f"graph: deployment {name!r}: {path} is {type(found).__name__}, and must be a class, a function, "
                "or a deployment of one of them"
            )
        if args:
            kind = "bound in the code" if isinstance(found, Application) else "a function"
            raise GraphError(f"graph: deployment {name!r}: {path} is {kind} and takes no args")
        assert isinstance(found, Application)
        return found


def _named(application: Application, name: str) -> Application:
    """Return the application under this name."""
    given = application.deployment
    if given.name == name:
        return application
    return replace(application, deployment=replace(given, settings=replace(given.settings, name=name)))
