"""Performs what was planned: the hand of the `loop`, each action in a task of its own.

Nothing above this module touches Ray. What comes of an action is told as news.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, assert_never

from remora.controller import actions, events, shared_actors
from remora.controller.builds import BuildRequest
from remora.controller.checkpoint import Checkpoint, replica_to_bytes
from remora.controller.cluster import RayCluster, RayReplica
from remora.controller.settings import ControllerSettings
from remora.controller.state import BuiltDeployment, Graph, InPlace, Replica, World
from remora.controller.supervisor import Supervisor, Tell
from remora.errors import GraphError, RemoraError
from remora.graph.importing import NotImported
from remora.graph.result import BuildFailure, BuildResult
from remora.handle.identity import ReplicaID
from remora.replica.actor_names import Owner
from remora.replica.config import ReplicaConfig
from remora.replica.gang import GangContext
from remora.replica.policy import Answer, PolicyQuestion
from remora.types import ReplicaId
from remora_api.autoscaling import Autoscaling
from remora_api.wire import Resources
from remora_api.wire_group import Gang, PlacementGroup

log = logging.getLogger("remora.controller")


class Performer:
    """Carries out actions on a cluster; its tasks belong to the group that it is given."""

    def __init__(
        self,
        cluster: RayCluster,
        checkpoint: Checkpoint,
        settings: ControllerSettings,
        url: str,
        tasks: asyncio.TaskGroup,
        tell: Tell,
    ) -> None:
        self._cluster = cluster
        self._checkpoint = checkpoint
        self._settings = settings
        self._url = url
        self._tasks = tasks
        self._tell = tell
        self._supervisors: dict[ReplicaId, Supervisor] = {}
        self._shared: set[Owner] = set()
        self._endings: set[asyncio.Task[None]] = set()

    def perform(self, action: actions.Action, world: World) -> None:
        """Begin an action that is already written down in the world."""
        match action:
            case actions.BuildGraph():
                log.info("application %s: importing %s", action.target.application, action.target.import_path)
                self._do(self._build(action))
            case actions.Start():
                log.info("replica %s: starting on %s", action.replica, world.nodes[action.node].name)
                if action.deployment.has_actors:
                    self._shared.add((action.target.application, action.deployment.name, action.deployment.version))
                supervisor = self._supervisor(world.replicas[action.replica], action.deployment.in_place)
                self._do(self._supervise(supervisor, self._start(action, world.replicas[action.replica])))
            case actions.Drain() | actions.Kill() | actions.Reconfigure() if action.replica not in self._supervisors:
                log.info("replica %s: ended before it could be told anything", action.replica)
                self._tell(events.ReplicaDied(action.replica, "it ended", False))
            case actions.Drain(replica, grace_s):
                log.info("replica %s: draining", replica)
                self._ask(replica, lambda supervisor: supervisor.drain(grace_s))
            case actions.Kill(replica, reason):
                log.info("replica %s: killed, as %s", replica, reason)
                self._ask(replica, lambda supervisor: supervisor.kill())
            case actions.Reconfigure(replica, in_place, settings):
                log.info("replica %s: new settings", replica)
                self._ask(replica, lambda supervisor: supervisor.reconfigure(in_place, settings))
            case _:
                assert_never(action)

    def adopt(self, replica: Replica, in_place: InPlace, actor: RayReplica) -> None:
        """Watch a replica that another controller started."""

        async def found() -> RayReplica:
            return actor

        self._do(self._supervise(self._supervisor(replica, in_place), found()))

    def adopt_shared(self, owners: Iterable[Owner]) -> None:
        """Keep watch over deployment actors that replicas of another controller's started."""
        self._shared.update(owners)

    def end_shared(self, world: World) -> None:
        """End the deployment actors that nobody needs any more."""
        for owner in shared_actors.unneeded(self._shared, world):
            self._shared.discard(owner)
            log.info("application %s: the deployment actors of %s (%s) end", *owner)
            task = self._tasks.create_task(self._cluster.end_shared(owner))
            self._endings.add(task)
            task.add_done_callback(self._endings.discard)

    async def shared_ended(self) -> None:
        """Return once the deployment actors that were told to end have ended."""
        await asyncio.gather(*self._endings)

    async def ask_policy(self, replica: ReplicaId, question: PolicyQuestion, timeout_s: float) -> Answer:
        """Return what a policy says when it runs in a replica, or why it says nothing."""
        supervisor = self._supervisors.get(replica)
        if supervisor is None:
            return f"policy {question.import_path}: the replica that it was to run in has gone"
        return await supervisor.ask_policy(question, timeout_s)

    def _ask(self, replica: ReplicaId, work: Callable[[Supervisor], Coroutine[Any, Any, None]]) -> None:
        supervisor = self._supervisors.get(replica)
        if supervisor is None:
            # Its end was seen a moment ago, or it would be watched.
            self._tell(events.ReplicaDied(replica))
        else:
            self._do(work(supervisor))

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.create_task(work)

    async def _start(self, action: actions.Start, replica: Replica) -> RayReplica:
        deployment, target = action.deployment, action.target
        config = ReplicaConfig(
            id=action.replica,
            application=target.application,
            deployment=deployment.name,
            revision=target.revision,
            definition=deployment.definition,
            code=target.code.digest if target.code else "",
            controller_url=self._url,
            max_ongoing_requests=deployment.in_place.max_ongoing_requests,
            user_config=deployment.in_place.user_config,
            health_check_timeout_s=deployment.in_place.health_check_timeout_s,
            memory=replica_to_bytes(replica),
            rank=replica.rank,
            gang=_gang_of(replica),
            world_size=deployment.count,
            env={**target.env, **deployment.env},
            working_dir=target.working_dir,
            worker_env=self._settings.worker_env,
            version=deployment.version,
        )
        return await self._cluster.start(
            config, action.node, deployment.resources, deployment.runtime_env, deployment.group, action.bundles
        )

    def _supervisor(self, replica: Replica, in_place: InPlace) -> Supervisor:
        async def release() -> None:
            if replica.bundles:
                await self._cluster.release(replica.id)

        self._supervisors[replica.id] = Supervisor(replica.id, in_place, self._tell, release)
        return self._supervisors[replica.id]

    async def _supervise(self, supervisor: Supervisor, begin: Coroutine[Any, Any, RayReplica]) -> None:
        try:
            await supervisor.run(begin, self._settings.start_timeout_s)
        finally:
            log.info("replica %s: ended", supervisor.id)
            del self._supervisors[supervisor.id]

    async def _build(self, action: actions.BuildGraph) -> None:
        target = action.target
        request = BuildRequest(
            import_path=target.import_path,
            args=target.args,
            code=target.code.digest if target.code else "",
            controller_url=self._url,
            timeout_s=self._settings.build_timeout_s,
            graph=target.graph,
        )
        try:
            written = await self._cluster.build(request, action.node)
            result = BuildResult.from_bytes(written)
        except (NotImported, GraphError) as error:
            result = BuildFailure(type(error).__name__, str(error))
        except RemoraError as error:
            log.warning("application %s: the build was lost: %s", target.application, error)
            self._tell(events.BuildLost(action.key, f"the build was lost and is tried again: {error}"))
            return
        match result:
            case BuildFailure():
                log.error("application %s: %s\n%s", target.application, result.message, result.traceback)
                self._tell(events.BuildFailed(action.key, result.message))
            case BuildResult():
                self._tell(events.BuildDone(action.key, self.keep(result)))
            case _:
                assert_never(result)

    def keep(self, result: BuildResult) -> Graph:
        """Keep the definitions of a build, and return the graph in the controller's words."""
        for digest, definition in result.definitions.items():
            self._checkpoint.put_definition(digest, definition)
        for warning in result.warnings:
            log.warning("%s", warning)
        return graph_of(result)


def _gang_of(replica: Replica) -> GangContext | None:
    if replica.seat is None:
        return None
    seat = replica.seat
    members = [ReplicaID.of(id_, replica.application, replica.deployment).unique_id for id_ in seat.members]
    return GangContext(seat.gang, seat.rank, len(members), members)


def graph_of(result: BuildResult) -> Graph:
    """Return what a build found, in the controller's words.

    Where amounts may be broken numbers all are: the digests of `versions` are the same then after a restart.
    """
    return Graph(
        result.ingress,
        tuple(
            BuiltDeployment(
                name=built.name,
                definition=built.digest,
                replicas=built.replicas,
                autoscaling=None if built.autoscaling is None else Autoscaling.from_plain(built.autoscaling),
                max_ongoing_requests=built.max_ongoing_requests,
                max_queued_requests=built.max_queued_requests,
                user_config=built.user_config,
                resources=Resources(
                    cpu_milli=built.cpu_milli,
                    memory_bytes=built.memory_bytes,
                    custom={name: float(amount) for name, amount in built.custom.items()},
                ),
                env=dict(built.env),
                runtime_env=dict(built.runtime_env),
                max_replicas_per_node=built.max_replicas_per_node,
                gang=None if built.gang is None else Gang.from_plain(built.gang),
                group=None if built.group is None else PlacementGroup.from_plain(built.group),
                has_actors=bool(built.actors),
                rolling_update_percentage=built.rolling_update_percentage,
                max_surge_percent=built.max_surge_percent,
                max_constructor_retry_count=built.max_constructor_retry_count,
                graceful_shutdown_timeout_s=float(built.graceful_shutdown_timeout_s),
                health_check_period_s=float(built.health_check_period_s),
                health_check_timeout_s=float(built.health_check_timeout_s),
            )
            for built in result.deployments
        ),
    )
