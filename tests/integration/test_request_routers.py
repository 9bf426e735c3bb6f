"""Request routers of users' own: asked by handles, over real sockets, for every call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from remora import serve
from remora.compat.config import RequestRouterConfig
from remora.compat.request_router import FIFOMixin, LocalityMixin, MultiplexMixin, RequestRouter, RunningReplica
from remora.errors import BackPressureError, OptionError, RemoraError
from remora.graph import build
from remora.graph.application import Application
from remora.handle import DeploymentHandle, runtime
from remora.replica import facts
from remora.replica.server import ReplicaServer
from remora.replica.user import Identity, UserCallable
from remora.router.router import Router
from remora.routing.choosers import chooser
from remora_api.wire import ApplicationRoutes, DeploymentRoutes, ReplicaAddress, RoutesSnapshot
from tests.fakes.services import KEY, until

TOLD: list[str] = []


class ByArgument(FIFOMixin, RequestRouter):
    """The first argument says which."""

    def initialize_state(self, *, name: str = "", **_: Any) -> None:
        TOLD.append(f"made {name}")

    async def choose_replicas(self, candidate_replicas: Any, pending_request: Any = None) -> Any:
        ordered = sorted(candidate_replicas, key=lambda replica: replica.replica_id.unique_id)
        return [[ordered[pending_request.args[0]]]]

    def on_request_routed(self, pending_request: Any, replica_id: Any, result: Any) -> None:
        TOLD.append(f"routed {replica_id}")

    def on_request_completed(self, replica_id: Any, internal_request_id: str) -> None:
        TOLD.append(f"completed {replica_id}")


class ByStats(LocalityMixin, MultiplexMixin, RequestRouter):
    async def choose_replicas(self, candidate_replicas: list[RunningReplica], pending_request: Any = None) -> Any:
        return [sorted(candidate_replicas, key=lambda replica: replica.routing_stats.get("age", 0))[-1:]]


class Fails(RequestRouter):
    async def choose_replicas(self, candidate_replicas: Any, pending_request: Any = None) -> Any:
        raise KeyError("no such replica")


class Who:
    def __init__(self) -> None:
        self.go = asyncio.Event()

    def __call__(self, which: int = 0) -> str:
        return serve.get_replica_context().replica_tag

    async def wait(self, which: int) -> None:
        await self.go.wait()

    async def let_go(self, which: int) -> None:
        self.go.set()

    def record_routing_stats(self) -> dict[str, Any]:
        return {"age": int(serve.get_replica_context().replica_tag[-1])}

    def record_replica_metadata(self) -> dict[str, Any]:
        return {"kind": "test"}


@asynccontextmanager
async def running(app: Application, replicas: int = 3) -> AsyncIterator[DeploymentHandle]:
    built = build.build(app)
    (one,) = built.deployments
    router = Router(KEY, choosers=chooser)
    runtime.set_caller(router, asyncio.get_running_loop())
    servers, users, telling, addresses = [], [], [], []
    try:
        for number in range(replicas):
            name, limit = f"shop#{one.name}#{number}", one.max_ongoing_requests
            creating = UserCallable.create(built.definitions[one.digest], Identity("shop", name, limit))
            user = await asyncio.create_task(creating)
            server = ReplicaServer(
                user, key=KEY, application="shop", revision="1", replica=name, max_ongoing_requests=limit
            )
            telling.append(asyncio.create_task(facts.keep_telling(user, server.state)))
            port = await server.start("127.0.0.1")
            addresses.append(
                ReplicaAddress(replica=name, host="127.0.0.1", port=port, max_ongoing_requests=limit, revision="1")
            )
            servers.append(server)
            users.append(user)
        routes = DeploymentRoutes(name=one.name, replicas=tuple(addresses), max_queued_requests=one.max_queued_requests)
        shop = ApplicationRoutes(application="shop", ingress=one.name, deployments=(routes,))
        router.cluster("here").update(RoutesSnapshot(epoch="1", version=1, applications=(shop,)))
        pool = router.cluster("here").pool("shop", one.name)
        assert pool is not None
        await until(lambda: pool.ready == replicas and all(link.facts.get("stats") for link in pool.links))
        yield DeploymentHandle(one.name, "shop")
    finally:
        for task in telling:
            task.cancel()
        for server in servers:
            await server.stop()
        for user in users:
            await user.close()
        await router.close()
        runtime.set_caller(None)


async def test_the_router_gets_its_kwargs_sees_the_arguments_and_hears_how_calls_fare() -> None:
    TOLD.clear()
    config = RequestRouterConfig(request_router_class=ByArgument, request_router_kwargs={"name": "one"})
    async with running(serve.deployment(request_router_config=config)(Who).bind()) as handle:
        assert [await handle.remote(which) for which in (2, 0)] == ["shop#Who#2", "shop#Who#0"]
    assert TOLD == [
        "made one",
        "routed shop#Who#2", "completed shop#Who#2",
        "routed shop#Who#0", "completed shop#Who#0",
    ]  # fmt: skip


async def test_routing_stats_and_metadata_reach_the_router() -> None:
    config = {"request_router_class": ByStats, "request_routing_stats_period_s": 0.05}
    async with running(serve.deployment(request_router_config=config)(Who).bind()) as handle:
        assert {await handle.remote() for _ in range(10)} == {"shop#Who#2"}


async def test_a_call_waits_while_the_chosen_replica_is_full_and_no_longer_than_the_queue_allows() -> None:
    options = {"request_router_config": {"request_router_class": ByArgument}, "max_ongoing_requests": 1}
    async with running(serve.deployment(**options, max_queued_requests=1)(Who).bind()) as handle:
        first = handle.wait.remote(1)
        router_of = runtime.current().caller
        pool = router_of.cluster("here").pool("shop", "Who")  # type: ignore[attr-defined]
        await until(lambda: any(link.ongoing for link in pool.links))
        waiting = handle.remote(1)
        await asyncio.sleep(0.05)
        with pytest.raises(BackPressureError, match="max_queued_requests=1"):
            await handle.remote(1)
        assert await handle.remote(0) == "shop#Who#0"
        first.cancel()
        assert await waiting == "shop#Who#1"


async def test_what_a_router_raises_is_raised_to_the_caller() -> None:
    config = RequestRouterConfig(request_router_class=Fails)
    async with running(serve.deployment(request_router_config=config)(Who).bind()) as handle:
        with pytest.raises(KeyError, match="no such replica"):
            await handle.remote()


async def test_a_router_that_cannot_be_made_is_said() -> None:
    config = RequestRouterConfig(request_router_class="nowhere.Router")
    async with running(serve.deployment(request_router_config=config)(Who).bind()) as handle:
        with pytest.raises(RemoraError, match=r"request router of deployment 'Who' cannot be made .* 'nowhere'"):
            await handle.remote()


@pytest.mark.parametrize(
    "config",
    [5, {"request_router_class": 5}, {"initial_backoff_s": 0}, {"request_router_kwargs": 1}],
)
def test_what_is_no_router_is_refused(config: Any) -> None:
    with pytest.raises((OptionError, ValueError)):
        serve.deployment(request_router_config=config)(Who)


def test_a_field_that_nobody_knows_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="without effect: router; known are request_router_class"):
        serve.deployment(request_router_config={"router": ByArgument})(Who)
