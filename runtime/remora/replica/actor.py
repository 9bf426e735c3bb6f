"""The Ray actor in which one replica lives: joins the user's object, the server it is called by, and its handles.

The controller creates it, awaits `start`, and leaves `until_draining` pending, which tells of the actor's end at once.
Requests never come this way. Nothing here raises because of user code: `start` says so as a value.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import time
from typing import TYPE_CHECKING, Any

from remora.replica.config import NotStarted, ReplicaConfig, Started, Way
from remora.replica.settings import ReplicaSettings, take_on

if TYPE_CHECKING:
    from remora.graph.definition import Definition
    from remora.replica.colleagues import Colleagues
    from remora.replica.policy import Answer, Policies, PolicyQuestion
    from remora.replica.recorder import Recorder
    from remora.replica.server import ReplicaServer
    from remora.replica.stats import Series
    from remora.replica.user import UserCallable
    from remora.tracing.tracer import Tracer

log = logging.getLogger("remora.replica")

FETCH_ATTEMPTS = 20
FETCH_PAUSE_S = 1.0
LEAVE_S = 2.0
ROUTES_S = 15.0
"""How long a replica waits for the routes of the deployments that it may call, before it takes requests without."""


class ReplicaActor:
    """One replica."""

    def __init__(self, config: ReplicaConfig) -> None:
        self._config = config
        take_on(config.worker_env)
        self._settings = ReplicaSettings.read()
        self._starting: asyncio.Task[Started | NotStarted] | None = None
        self._draining: asyncio.Task[None] | None = None
        self._leaving = asyncio.Event()
        self._ended = asyncio.Event()
        self._user: UserCallable | None = None
        self._server: ReplicaServer | None = None
        self._kept: list[Any] = []
        self._policies: Policies | None = None
        self._colleagues: Colleagues | None = None
        self._recorder: Recorder | None = None
        self._told = ""
        self._tracer: Tracer | None = None

    async def start(self) -> Started | NotStarted:
        """Construct the user's object and listen. Called again (by another controller), it returns the same."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        return await asyncio.shield(self._starting)

    async def recall(self) -> tuple[bytes, bool, str]:
        """Return the controller's record of this replica, whether it drains, and the settings it was told last."""
        return self._config.memory, self._draining is not None, self._told

    async def until_draining(self) -> None:
        """Return when the replica begins to drain, whoever told it to; until then never."""
        await self._leaving.wait()

    async def until_drained(self) -> None:
        """Return when the replica has drained; until then never."""
        await self._ended.wait()

    async def way(self) -> Way:
        """Return how other processes of this Ray cluster, tasks of the user's say, reach the application."""
        return Way(self._config.controller_url, self._settings.data_key_file)

    async def check_health(self) -> str:
        """Return what the user's check says is wrong; empty when nothing is."""
        from remora.replica import health

        assert self._user is not None
        return await health.complaint(self._user)

    async def reconfigure(self, user_config: Any, max_ongoing_requests: int, settings: str) -> str:
        """Apply settings that need no restart, and remember their digest; return what user code says is wrong."""
        from remora.replica.failure import DeploymentFailure

        assert self._user is not None
        assert self._server is not None
        try:
            await self._user.reconfigure(user_config, max_ongoing_requests)
        except DeploymentFailure as error:
            log.error("%s\n%s", error, error.trace)
            return str(error)
        self._server.limit(max_ongoing_requests)
        self._told = settings
        return ""

    async def ask_policy(self, question: PolicyQuestion) -> Answer:
        """Return what a policy in the user's code says, or what is wrong with it."""
        from remora.replica.colleagues import Colleagues
        from remora.replica.policy import Policies

        if self._policies is None or self._colleagues is None:
            self._policies, self._colleagues = Policies(), Colleagues()
        return await self._policies.ask(question, await self._colleagues.recorded(question.look_back_s()))

    async def autoscaling_stats(self, look_back_s: float) -> Series | None:
        """Return what the user's code has recorded for policies, now the last; None when it records nothing."""
        from remora.replica.recorder import Recorder

        if self._user is None or not Recorder.is_for(self._user):
            return None
        if self._recorder is None:
            self._recorder = Recorder(self._user, time.time)  # noqa: TID251 - the edge: its clock
        return await self._recorder.recorded(look_back_s)

    async def drain(self, timeout_s: float) -> None:
        """Take nothing new, finish what is there, and end the process."""
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain(timeout_s))
        await asyncio.shield(self._draining)

    async def _start(self) -> Started | NotStarted:
        from remora.errors import RemoraError
        from remora.replica.failure import DeploymentFailure

        config = self._config
        from remora.replica import output

        output.redirect(self._settings.output, f"{config.deployment} {config.id.rpartition('#')[2]}")
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", force=True)
        try:
            return await self._begin()
        except DeploymentFailure as error:
            log.error("%s\n%s", error, error.trace)
            return NotStarted(str(error), error.trace)
        except (RemoraError, OSError) as error:
            log.error("replica %s cannot start: %s", config.id, error)
            return NotStarted(f"replica cannot start: {error}")

    async def _begin(self) -> Started:
        from remora import memory
        from remora.replica.ahead import (
            HOLDINGS,
            Identity,
            ReplicaServer,
            Router,
            SignedClient,
            TracingSettings,
            UserCallable,
            chooser,
            code,
            context,
            control,
            facts,
            health,
            process,
            runtime,
            take_part,
        )

        config, settings = self._config, self._settings
        async with SignedClient(config.controller_url, settings.data_key) as client:
            definition = await _patiently(lambda: client.get(f"/v1/definitions/{config.definition}"))
            folder = await _patiently(lambda: code.lay_out(config.code, client, settings.scratch))
        take_part(folder, config.env, config.working_dir, config.controller_url, settings.data_key)
        router = Router(settings.data_key, controllers=[config.controller_url], own=self._load, choosers=chooser)
        await router.start()
        # Read now that the application's environment and modules are there, of which the exporter may be one.
        who = config.application, config.deployment, config.id
        self._tracer = process.tracer_of_replica(TracingSettings.read(), *who)
        runtime.set_caller(process.traced_caller(router, self._tracer))
        context.claim()
        identity = Identity(
            config.application,
            config.id,
            config.max_ongoing_requests,
            config.rank,
            config.world_size,
            config.version or None,
            config.gang,
        )
        self._user = await UserCallable.create(
            definition.body, identity, config.user_config, prepare=self._start_shared_actors
        )
        await health.first_check(self._user, config.deployment, config.health_check_timeout_s)
        self._server = ReplicaServer(
            process.traced_service(self._user, self._tracer, *who),
            key=settings.data_key,
            application=config.application,
            revision=config.revision,
            replica=config.id,
            max_ongoing_requests=config.max_ongoing_requests,
        )
        HOLDINGS.listen(self._server.hold_models)
        self._kept.append(asyncio.create_task(facts.keep_telling(self._user, self._server.state)))
        port = await _listen(self._server, settings)
        if not await router.is_told(ROUTES_S):
            # Requests that call nobody are served all the same; the others wait for the routes as they come.
            log.warning("%s has told no routes within %g s: calls of other deployments wait", router, ROUTES_S)
        self._kept += [router, await control.listen(settings.scratch, config.id, self.drain)]
        # What is there now stays until the end: collections need not look at it again.
        gc.collect()
        gc.freeze()
        memory.keep_freed()
        return Started(settings.host, port, os.getpid())

    async def _start_shared_actors(self, found: Definition) -> None:
        if found.actors:
            from remora.replica import shared_actors

            await shared_actors.start(found, self._config)

    def _load(self) -> tuple[str, int]:
        """Return who this is and how many requests it works on."""
        return self._config.id, self._server.ongoing if self._server is not None else 0

    async def _drain(self, timeout_s: float) -> None:
        self._leaving.set()
        # Requests and tasks end side by side: both have until then.
        tasks = asyncio.create_task(self._user.stop_tasks(timeout_s)) if self._user is not None else None
        if self._server is not None:
            await self._server.drain(timeout_s)
            await self._server.stop()
        if self._user is not None and tasks is not None:
            await tasks
            await self._user.close()
        if self._tracer is not None:
            await self._tracer.close()
        self._kept.append(asyncio.create_task(self._exit()))

    async def leave(self) -> None:
        """End the process in Ray's way; the controller's answer to `wait` having returned."""
        import ray

        if self._user is not None and self._user.tasks_run_on():
            # Python waits for threads at its end, and others have those tasks by now.
            os._exit(0)
        ray.actor.exit_actor()

    async def _exit(self) -> None:
        # Ray lets an actor leave only when its other calls have returned: first those that wait.
        self._ended.set()
        await asyncio.sleep(LEAVE_S)
        # No controller called `leave`: it is away. The node's room is wanted all the same.
        os._exit(0)


async def _listen(server: ReplicaServer, settings: ReplicaSettings) -> int:
    """Listen at the first free port of those that network policies let through."""
    first, last = settings.ports
    for port in range(first, last):
        try:
            return await server.start(settings.host, port)
        except OSError:
            continue
    return await server.start(settings.host, last)


async def _patiently(fetch: Any) -> Any:
    """Fetch from the controller, which may just be restarting."""
    from remora.http_client import Unreachable

    for _ in range(FETCH_ATTEMPTS):
        try:
            return await fetch()
        except Unreachable as error:
            log.warning("%s; trying again", error)
            await asyncio.sleep(FETCH_PAUSE_S)
    return await fetch()
