"""The Ray cluster, as the controller uses it: nodes, replica actors, builds. The only module here that imports ray.

Translates Ray's exceptions once: ActorGone and ClusterLost. Calls of Ray that block run in a thread of their own.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, TypeVar

import ray
from ray.exceptions import ActorUnavailableError, RayError, RayTaskError, RuntimeEnvSetupError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

from remora.controller import builds, reservations
from remora.controller.connection import ClusterLost
from remora.controller.settings import ControllerSettings
from remora.controller.state import Node, NodeId
from remora.errors import RemoraError
from remora.node import labels
from remora.replica import actor_names
from remora.replica.actor import ReplicaActor
from remora.replica.actor_names import NAMESPACE, Owner
from remora.replica.config import NotStarted, ReplicaConfig, Started
from remora.replica.policy import Answer, PolicyQuestion
from remora.types import ReplicaId
from remora_api.wire import Resources
from remora_api.wire_group import PlacementGroup

MAX_CONCURRENCY = 1000
"""Calls of the controller that one replica may have at a time; its requests come another way."""
CALL_TIMEOUT_S = 60.0

T = TypeVar("T")


class ActorGone(RemoraError):
    """The replica's process is dead, or was never there."""


class NodeGone(ActorGone):
    """The replica's node is dead, or was when the replica should have been put there."""


class ActorFailed(RemoraError):
    """Remora's own code raised in the replica or the build, whose process lives."""


class ActorUnavailable(ActorFailed):
    """The actor lives, as far as anybody knows, and cannot be reached now: after a restart of the head, say."""


class RayReplica:
    """One replica's actor."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    async def start(self) -> Started | NotStarted:
        """Construct and listen, or return why not."""
        started: Started | NotStarted = await _result(self._actor.start.remote())
        return started

    async def recall(self) -> tuple[bytes, bool, str]:
        """Return the record that the replica was made with, whether it drains, and the settings it was told last."""
        recalled: tuple[bytes, bool, str] = await _result(self._actor.recall.remote())
        return recalled

    async def until_draining(self) -> None:
        """Return when the replica begins to drain; raise ActorGone when its process ends."""
        await _result(self._actor.until_draining.remote())

    async def until_drained(self) -> None:
        """Return when the replica has drained; raise ActorGone when its process ends."""
        await _result(self._actor.until_drained.remote())

    async def check_health(self) -> str:
        """Return what is wrong; empty when nothing is."""
        found: str = await _result(self._actor.check_health.remote())
        return found

    async def reconfigure(self, user_config: Any, max_ongoing_requests: int, settings: str) -> str:
        """Apply settings, of this digest; return what is wrong with them."""
        found: str = await _result(self._actor.reconfigure.remote(user_config, max_ongoing_requests, settings))
        return found

    async def ask_policy(self, question: PolicyQuestion) -> Answer:
        """Return what a policy in the user's code says, or what is wrong with it."""
        said: Answer = await _result(self._actor.ask_policy.remote(question))
        return said

    def drain(self, grace_s: float) -> None:
        """Tell it to finish and end."""
        self._actor.drain.remote(grace_s)

    async def leave(self) -> None:
        """Tell it to end, as it has drained; raise ActorGone when it has."""
        await _result(self._actor.leave.remote())

    async def kill(self) -> None:
        """End it now."""
        await asyncio.to_thread(ray.kill, self._actor, no_restart=True)


class RayCluster:
    """The cluster that this process is connected to as a driver; one in a process."""

    def __init__(self, settings: ControllerSettings) -> None:
        self._local = settings.local
        self._runtime_env = {"env_vars": dict(settings.worker_env)} if settings.worker_env else None
        self._at_start = settings.worker_env_at_start
        self._own_node = ray.get_runtime_context().get_node_id()
        self._actor_class = ray.remote(ReplicaActor)
        self._build = ray.remote(builds.run)

    async def nodes(self) -> Mapping[NodeId, Node]:
        """Return the living nodes that may hold replicas; raise ClusterLost when nobody answers, or our own is gone.

        The tables come back when the head's container does, but with a node of their own, and tasks would be handed
        to the old one for ever.
        """
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                found = await _in_thread(ray.nodes)
        except TimeoutError:
            raise ClusterLost(f"Ray's tables did not answer for {CALL_TIMEOUT_S:g} s") from None
        alive = [entry for entry in found if entry["Alive"]]
        if all(entry["NodeID"] != self._own_node for entry in alive):
            raise ClusterLost("the Ray node that this process is connected through was replaced")
        return {NodeId(entry["NodeID"]): self._node(entry) for entry in alive if self._takes_replicas(entry)}

    async def start(
        self,
        config: ReplicaConfig,
        node: NodeId,
        resources: Resources,
        runtime_env: Mapping[str, Any],
        group: PlacementGroup | None = None,
        bundles: Collection[NodeId] = (),
    ) -> RayReplica:
        """Create a replica's actor on a node; it lives on when this process ends.

        With a `group`, that is made first, on the nodes of its `bundles`: the actor runs in the first bundle, and so
        does, or in another, what its code starts in Ray. Ray sets up what `runtime_env` asks for, beside what all of
        them have. Raises ActorGone for what Ray refuses.
        """
        reserved = None if group is None else await self._reserve(config.id, group, bundles)

        def create() -> Any:
            strategy: Any = NodeAffinitySchedulingStrategy(node, soft=False)
            if reserved is not None:
                strategy = PlacementGroupSchedulingStrategy(reserved, 0, placement_group_capture_child_tasks=True)
            return self._actor_class.options(
                name=config.id,
                namespace=NAMESPACE,
                lifetime="detached",
                max_restarts=0,
                max_concurrency=MAX_CONCURRENCY,
                num_cpus=0 if self._local and reserved is None else resources.cpu_milli / 1000,
                resources={k: v for k, v in resources.custom.items() if k != "GPU"} or None,
                num_gpus=resources.custom.get("GPU", 0),
                scheduling_strategy=strategy,
                # Else the replica takes our environment on by itself, in a process that Ray has waiting.
                runtime_env={**((self._at_start and self._runtime_env) or {}), **runtime_env} or None,
            ).remote(config)

        try:
            return RayReplica(await _in_thread(create))
        except (ValueError, TypeError) as error:
            if not runtime_env and reserved is None:
                raise
            what = "runtime_env" if runtime_env else "placement group"
            raise ActorGone(f"its {what} is refused by Ray: {error}") from error

    async def _reserve(self, replica: ReplicaId, group: PlacementGroup, nodes: Collection[NodeId]) -> Any:
        try:
            return await reservations.reserve(_in_thread, replica, group, nodes)
        except reservations.NoRoom as error:
            if not set(nodes) <= (await self.nodes()).keys():
                raise NodeGone("a node of its placement group went away") from error
            raise ActorGone(str(error)) from error
        except (ValueError, TypeError) as error:
            raise ActorGone(f"its placement group is refused by Ray: {error}") from error

    async def release(self, replica: ReplicaId) -> None:
        """Give back what was reserved for a replica, which is dead."""
        await reservations.release(_in_thread, replica)

    async def release_all_but(self, replicas: Collection[ReplicaId]) -> None:
        """Give back what is reserved for replicas that there are not."""
        await reservations.release_all_but(_in_thread, replicas)

    async def find(self, replica: ReplicaId) -> RayReplica | None:
        """Return a replica that was created before, perhaps by another process."""
        try:
            return RayReplica(await _in_thread(lambda: ray.get_actor(replica, namespace=NAMESPACE)))
        except ValueError:
            return None

    async def replicas(self) -> list[ReplicaId]:
        """Return all replicas that Ray knows as alive."""
        return [ReplicaId(name) for name in await self._named() if "#" in name]

    async def shared(self) -> frozenset[Owner]:
        """Return whose deployment actors there are."""
        return frozenset(owner for name in await self._named() if (owner := actor_names.owner(name)) is not None)

    async def end_shared(self, owner: Owner) -> None:
        """End the deployment actors of a version."""
        for name in await self._named():
            if actor_names.owner(name) == owner:
                try:
                    actor = await _in_thread(partial(ray.get_actor, name, namespace=NAMESPACE))
                except ValueError:
                    continue
                await asyncio.to_thread(ray.kill, actor, no_restart=True)

    async def _named(self) -> list[str]:
        named = await _in_thread(lambda: ray.util.list_named_actors(all_namespaces=True))
        return [entry["name"] for entry in named if entry["namespace"] == NAMESPACE]

    async def build(self, request: builds.BuildRequest, node: NodeId) -> bytes:
        """Import an application on a node and return what `remora.graph.build` wrote; raise ActorGone, NotImported."""
        strategy = NodeAffinitySchedulingStrategy(node, soft=False)
        task = self._build.options(
            num_cpus=0, max_retries=0, scheduling_strategy=strategy, runtime_env=self._runtime_env
        )
        written: bytes = await _result(task.remote(request))
        return written

    def _takes_replicas(self, entry: Mapping[str, Any]) -> bool:
        return self._local or "node:__internal_head__" not in entry["Resources"]

    def _node(self, entry: Mapping[str, Any]) -> Node:
        given = entry["Labels"]
        held = entry["Resources"]
        cpu = int(given.get(labels.CPU_MILLI, round(held.get("CPU", 0) * 1000)))
        memory = int(given.get(labels.MEMORY_BYTES, 0))
        return Node(
            id=NodeId(entry["NodeID"]),
            name=given.get(labels.POD) or entry["NodeManagerHostname"],
            host=given.get(labels.HOST) or entry["NodeManagerHostname"],
            group=given.get(labels.GROUP, ""),
            template=given.get(labels.TEMPLATE, ""),
            cpu_milli=cpu,
            bundles_only=self._local,
            memory_bytes=None if self._local or not memory else memory,
            custom={name: amount for name, amount in held.items() if name not in ("CPU", "memory")},
            labels=dict(given),
        )


async def _result(reference: Any) -> Any:
    """Await one of Ray's references, translating what it raises."""
    try:
        return await reference
    except RayTaskError as error:
        if isinstance(error.cause, RemoraError):
            raise error.cause from error
        raise ActorFailed(f"{type(error.cause).__name__}: {error.cause}") from error
    except ActorUnavailableError as error:
        raise ActorUnavailable("Ray cannot reach it for the moment") from error
    except RayError as error:
        if any(sign in str(error) for sign in _NODE_GONE):
            raise NodeGone("its node went away") from error
        raise ActorGone(why(error)) from error


_NODE_GONE = ("NodeAffinitySchedulingStrategy doesn't exist", "node has died", "node was terminated", "NODE_DIED")


def why(error: RayError) -> str:
    """Say in a sentence why Ray ended something: its messages are a page long."""
    text = str(error)
    if "out of memory" in text.lower() or "OutOfMemory" in text:
        return "its process was killed as the node ran out of memory"
    if isinstance(error, RuntimeEnvSetupError) or "runtime environment" in text:
        return f"Ray could not set up its runtime_env: {_reason(text)}"
    if "INTENDED_USER_EXIT" in text:
        return "its process ended by itself"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"its process died: {lines[-1][:200] if lines else type(error).__name__}"


def _reason(text: str) -> str:
    """Return the line of Ray's that says why: the last that names an exception, else the last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if re.match(r"[\w.]*(Error|Exception): ", line)), lines[-1])[:300]


async def _in_thread(call: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(call)
    except RayError as error:
        raise ClusterLost(str(error)) from error
