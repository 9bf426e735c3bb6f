"""Small worlds for the controller's tests: one application, as many nodes and replicas as a test names.

And what the planner wants done in one, and how news changes it.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

from remora.controller import events, versions
from remora.controller.actions import Action
from remora.controller.lifecycle import Phase
from remora.controller.planner import plan
from remora.controller.state import Build, BuiltDeployment, Graph, Node, NodeId, Replica, Serving, World
from remora.types import ReplicaId
from remora_api.wire import BuildState, GroupTarget, Resources, Target

GROUP = GroupTarget(name="cpu", template="t1")


def target(**values: Any) -> Target:
    """Return a target for the application `app`."""
    given = {"application": "app", "generation": 1, "revision": "r1", "import_path": "m:app", "groups": (GROUP,)}
    return Target.from_plain({**given, **values})


def node(name: str, **values: Any) -> Node:
    """Return a node of the group, with room for 4 CPUs, on a machine of its own unless told otherwise."""
    given: dict[str, Any] = {"host": name, "group": "cpu", "template": "t1", "cpu_milli": 4000}
    return Node(id=NodeId(name), name=name, **{**given, **values})


def graph(*deployments: str, **options: Any) -> Graph:
    """Return a graph, the first deployment being the ingress."""
    return Graph(deployments[0], tuple(BuiltDeployment(name=d, definition=f"def-{d}", **options) for d in deployments))


def world(wanted: Target, built: Graph, *nodes: Node) -> World:
    """Return a world in which the target was built, and nothing runs."""
    key = versions.build_key(wanted)
    return World(
        targets={wanted.application: wanted},
        serving={wanted.application: Serving(wanted, built)},
        builds={key: Build(BuildState.BUILT, graph=built)},
        nodes={n.id: n for n in nodes or (node("n1"),)},
    )


def with_replicas(before: World, deployment: str, *phases: Phase, on: str = "n1", **values: Any) -> World:
    """Return the world with replicas of a deployment, of the target's version unless told otherwise."""
    serving = before.serving["app"]
    wanted = next(d for d in versions.resolve(serving) if d.name == deployment)
    replicas = dict(before.replicas)
    for phase in phases:
        id_ = ReplicaId(f"app#{deployment}#{len(replicas):08x}")
        made = Replica(
            id=id_,
            application="app",
            deployment=deployment,
            revision=serving.target.revision,
            version=wanted.version,
            settings=wanted.settings,
            resources=Resources(),
            node=NodeId(on),
            phase=phase,
            started_at=0,
            since=0,
            ingress=wanted.ingress,
            host="10.0.0.1" if phase is Phase.RUNNING else "",
            port=11000 + len(replicas) if phase is Phase.RUNNING else 0,
        )
        replicas[id_] = replace(made, **values)
    return replace(before, replicas=replicas)


def actions(before: World, now: float = 100) -> tuple[Action, ...]:
    """Return what the planner wants done now."""
    numbers = count(1000)
    return plan(before, now, lambda app, deployment: ReplicaId(f"{app}#{deployment}#{next(numbers)}")).actions


def kinds(before: World, now: float = 100) -> list[str]:
    """Return the kinds of what the planner wants done now."""
    return [type(action).__name__ for action in actions(before, now)]


def after(before: World, *news: events.Event, now: float = 100) -> World:
    """Return the world once all of this was heard."""
    for event in news:
        before = events.learn(before, event, now)
    return before
