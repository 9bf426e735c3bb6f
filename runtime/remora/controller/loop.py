"""The controller's loop: news in, a plan out, performed and published.

    wait for news → `events.learn` → `planner.plan` → `events.enact` → checkpoint → publish → perform

It sleeps until there is news or the plan asks for a moment; nothing is polled but Ray's list of nodes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable

from remora.controller import events, planner, recovery, rounds, status, versions
from remora.controller.actions import Drain
from remora.controller.advisers import Asked
from remora.controller.checkpoint import Checkpoint
from remora.controller.cluster import RayCluster
from remora.controller.lifecycle import Phase
from remora.controller.performer import Performer, graph_of
from remora.controller.published import Published
from remora.controller.routes import routes
from remora.controller.scaling import Scaling
from remora.controller.settings import ControllerSettings
from remora.controller.state import InPlace, Replica, World
from remora.graph.result import BuildResult
from remora.types import ReplicaId
from remora_api.wire import (
    ApplicationRoutes,
    ApplicationStatus,
    BuildState,
    CodeBundle,
    LoadReport,
    NodeStatus,
    Target,
)

log = logging.getLogger("remora.controller")

NODES_BUSY_S = 0.2
NODES_IDLE_S = 5.0
BACK_OFF_S = 1.0
SCALING_S = 1.0
POLICY_S = 10.0
Clock = Callable[[], float]
Connect = Callable[[], Awaitable[RayCluster]]
Overview = tuple[tuple[ApplicationStatus, ...], tuple[NodeStatus, ...]]


class Controller:
    """One controller; `run` is its life. Everything but `run` returns at once."""

    def __init__(self, connect: Connect, settings: ControllerSettings, url: str, clock: Clock) -> None:
        self._connect = connect
        self._settings = settings
        self._url = url
        self._clock = clock
        self._checkpoint = Checkpoint(settings.state_dir)
        self._saved = self._checkpoint.load()
        self._world = World()
        self._news: deque[events.Event] = deque()
        self._wake = asyncio.Event()
        self._nodes_wanted = asyncio.Event()
        self._scaling = Scaling()
        self._scaling_wanted = asyncio.Event()
        self.epoch = secrets.token_hex(8)
        self.routes: Published[tuple[ApplicationRoutes, ...]] = Published(self.epoch)
        self.status: Published[Overview] = Published(self.epoch)
        self.is_ready = False

    # ── what the API asks for ────────────────────────────────────────────────────────────────────────────────────

    def tell(self, event: events.Event) -> None:
        """Take in news, to be acted on in the next turn."""
        self._news.append(event)
        self._wake.set()

    def take_loads(self, report: LoadReport) -> None:
        """Take in what a process says of the requests that it knows of."""
        if self._scaling.take(report, self._world, self._clock()):
            self._scaling_wanted.set()

    def metrics(self) -> str:
        """Return what is counted here, in Prometheus' text format."""
        return "\n".join(self._scaling.metrics()) + "\n"

    def close(self) -> None:
        """Let everyone go who waits for news."""
        self.routes.close()
        self.status.close()

    def definition(self, digest: str) -> bytes | None:
        """Return a definition by its digest."""
        return self._checkpoint.definition(digest)

    def code(self, digest: str) -> CodeBundle | None:
        """Return a code bundle that a target has, or had when replicas that still start were made."""
        serving = [current.target for current in self._world.serving.values()]
        waiting = [event.target for event in self._news if isinstance(event, events.TargetSet)]
        for target in (*self._world.targets.values(), *serving, *waiting):
            if target.code is not None and target.code.digest == digest:
                return target.code
        return None

    def deploy(self, target: Target, result: BuildResult) -> None:
        """Follow a target whose graph was built in this process."""
        for digest, definition in result.definitions.items():
            self._checkpoint.put_definition(digest, definition)
        self.tell(events.TargetSet(target))
        self.tell(events.BuildDone(versions.build_key(target), graph_of(result)))

    def target(self, application: str) -> Target | None:
        """Return the target that is followed."""
        return self._world.targets.get(application)

    async def shared_ended(self) -> None:
        """Return once the deployment actors of what was deleted have ended."""
        await self._performer.shared_ended()

    # ── its life ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Connect, recover, then plan and perform until cancelled; raise ClusterLost when Ray is gone for good."""
        self._cluster = await self._connect()
        async with asyncio.TaskGroup() as tasks:
            self._performer = Performer(self._cluster, self._checkpoint, self._settings, self._url, tasks, self.tell)
            await self._recover()
            tasks.create_task(self._watch_nodes())
            tasks.create_task(self._scale(tasks))
            self.is_ready = True
            self._wake.set()
            while True:
                await self._wake.wait()
                try:
                    wake_at = self._turn()
                except Exception:
                    log.exception("a turn of the loop failed; the next is in %g s", BACK_OFF_S)
                    wake_at = self._clock() + BACK_OFF_S
                if wake_at is not None:
                    asyncio.get_running_loop().call_later(max(0.01, wake_at - self._clock()), self._wake.set)

    async def _recover(self) -> None:
        self._world, actors = await recovery.recover(
            self._cluster, self._saved, self._settings.recovery_timeout_s, self._clock()
        )
        self._performer.adopt_shared(await self._cluster.shared())
        for replica, actor in zip(self._world.replicas.values(), actors, strict=True):
            self._performer.adopt(replica, _settings_of(self._world, replica), actor)
            if replica.phase is Phase.DRAINING:
                self._performer.perform(Drain(replica.id, replica.grace_s), self._world)

    def _turn(self) -> float | None:
        """Learn, decide, write down, publish, do."""
        self._wake.clear()
        now = self._clock()
        while self._news:
            self._world = events.learn(self._world, self._news.popleft(), now)
        self._world = events.expire(self._world, now)
        plan = planner.plan(self._world, now, _new_id)
        for action in plan.actions:
            self._world = events.enact(self._world, action, now)
        # Written before it is done: a controller that dies in between finds what it began.
        self._checkpoint.save(self._world)
        # Routes first: nobody may be sent to a replica that is about to drain.
        self.routes.publish(routes(self._world))
        self.status.publish((status.applications(self._world), status.nodes(self._world)))
        for action in plan.actions:
            self._performer.perform(action, self._world)
        self._performer.end_shared(self._world)
        if self._scaling.begins(self._world):
            self._scaling_wanted.set()
        if self._waits_for_nodes():
            self._nodes_wanted.set()
        else:
            self._nodes_wanted.clear()
        return plan.wake_at

    def _waits_for_nodes(self) -> bool:
        applications, _ = self.status.latest or ((), ())
        return any(
            a.build.state is BuildState.WAITING or any(d.updated < d.desired for d in a.deployments)
            for a in applications
        )

    async def _watch_nodes(self) -> None:
        while True:
            nodes = await self._cluster.nodes()
            if nodes != self._world.nodes:
                self.tell(events.NodesSeen(nodes))
            try:
                async with asyncio.timeout_at(rounds.due(asyncio.get_running_loop().time(), NODES_IDLE_S)):
                    await self._nodes_wanted.wait()
                    await asyncio.sleep(NODES_BUSY_S)
            except TimeoutError:
                continue

    async def _scale(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SCALING_S if self._scaling.goes_on else None):
                    await self._scaling_wanted.wait()
            self._scaling_wanted.clear()
            for event in self._scaling.decide(self._world, self._clock()):
                self.tell(event)
            for asked in self._scaling.questions(self._world, self._clock()):
                tasks.create_task(self._ask(asked))

    async def _ask(self, asked: Asked) -> None:
        answer = await self._performer.ask_policy(asked.replica, asked.question, POLICY_S)
        self._scaling.answered(asked, answer, self._clock())


def _settings_of(world: World, replica: Replica) -> InPlace:
    """Return the settings for a replica found again: those of its deployment, or any that will do until it is gone."""
    serving = world.serving.get(replica.application)
    for deployment in versions.resolve(serving) if serving else ():
        if deployment.name == replica.deployment:
            return deployment.in_place
    return InPlace(
        max_ongoing_requests=1,
        user_config=None,
        graceful_shutdown_timeout_s=replica.grace_s,
        health_check_period_s=10,
        health_check_timeout_s=30,
    )


def _new_id(application: str, deployment: str) -> ReplicaId:
    return ReplicaId(f"{application}#{deployment}#{secrets.token_hex(4)}")
