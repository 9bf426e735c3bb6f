"""Autoscaling on a real Ray: load through a real proxy and through handles raises replicas, its end lowers them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp
import pytest

from remora.proxy.server import ProxyServer
from remora_api.autoscaling import Autoscaling, Policy
from remora_api.wire import (
    Activity,
    ApplicationStatus,
    BuildState,
    DeploymentOverride,
    DeploymentStatus,
    Hold,
)
from tests.fakes.ray_cluster import RayMachine, code

pytestmark = pytest.mark.ray

CODE = """
import asyncio
from ray import serve
from ray.serve.config import AutoscalingConfig

@serve.deployment(
    autoscaling_config=AutoscalingConfig(
        min_replicas=0, max_replicas=3, target_ongoing_requests=2, look_back_period_s=2,
        upscale_delay_s=1, downscale_delay_s=2,
    ),
    max_ongoing_requests=4,
    ray_actor_options={"num_cpus": 0.5},
)
class Model:
    async def __call__(self, seconds):
        await asyncio.sleep(seconds)
        return "done"

def two(context):
    return 2, {"seen": context.policy_state.get("seen", 0) + 1}

def together(contexts, spare):
    # As many of Steered as there are autoscaled deployments, and some to spare, from the second look on.
    steered = next(id_ for id_ in contexts if id_.name == "Steered")
    looks = contexts[steered].policy_state.get("looks", 0) + 1
    return {steered: len(contexts) + spare if looks > 1 else 2}, {steered: {"looks": looks}}

def never(contexts):
    raise LookupError("nothing to go by")

@serve.deployment(
    autoscaling_config={"max_replicas": 5, "upscale_delay_s": 0, "downscale_delay_s": 1,
                        "policy": {"policy_function": two}},
    ray_actor_options={"num_cpus": 0.1},
)
class Steered:
    def __call__(self):
        return "steered"

@serve.deployment(max_ongoing_requests=100, ray_actor_options={"num_cpus": 0.5})
class Ingress:
    def __init__(self, model, steered):
        self.model = model
    async def __call__(self, request):
        seconds = float(request.query_params.get("seconds", 0.2))
        if request.url.path == "/alone":
            await asyncio.sleep(seconds)
            return "alone"
        return await self.model.remote(seconds)

app = Ingress.bind(Model.bind(), Steered.bind())
"""
LIMITS = Autoscaling(
    min_replicas=1,
    max_replicas=3,
    target_ongoing_requests=4,
    look_back_period_s=2,
    upscale_delay_s=1,
    downscale_delay_s=2,
)
GANGS = """
import asyncio
from ray import serve

@serve.deployment(
    gang_scheduling_config={"gang_size": 2},
    autoscaling_config={"min_replicas": 2, "max_replicas": 6, "target_ongoing_requests": 4,
                        "look_back_period_s": 2, "upscale_delay_s": 1, "downscale_delay_s": 2},
    max_ongoing_requests=8,
    ray_actor_options={"num_cpus": 1},
)
class Member:
    async def __call__(self, request):
        await asyncio.sleep(0.2)
        return serve.get_replica_context().gang_context.gang_id

app = Member.bind()
"""


HOLD = Hold(requests=200, bytes=1_000_000, seconds=60, idle_s=0.5)


@pytest.fixture
async def proxy(proxy: ProxyServer, machine: RayMachine) -> ProxyServer:
    machine.route(proxy, hold=HOLD)
    return proxy


def of(status: ApplicationStatus, name: str) -> DeploymentStatus | None:
    return next((it for it in status.deployments if it.name == name), None)


def has(name: str, desired: int, ready: int) -> Callable[[ApplicationStatus], bool]:
    def holds(status: ApplicationStatus) -> bool:
        found = of(status, name)
        built = status.build.state is BuildState.BUILT
        return built and found is not None and (found.desired, found.ready) == (desired, ready)

    return holds


def said(name: str, reason: str) -> Callable[[ApplicationStatus], bool]:
    def holds(status: ApplicationStatus) -> bool:
        found = of(status, name)
        return found is not None and found.reason == reason

    return holds


class Load:
    """Clients that ask one request after the other, and count all that do not answer 200."""

    def __init__(self, url: str, clients: int) -> None:
        self.answered = 0
        self.failed: list[str] = []
        self._url = url
        self._clients = clients
        self._stop = asyncio.Event()

    async def __aenter__(self) -> Load:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self._tasks = [asyncio.create_task(self._ask()) for _ in range(self._clients)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)
        await self._session.close()

    async def _ask(self) -> None:
        while not self._stop.is_set():
            async with self._session.get(self._url) as answer:
                text = await answer.text()
            if answer.status == 200:
                self.answered += 1
            else:
                self.failed.append(f"{answer.status} {text}")


async def test_gangs_come_and_go_with_the_load_as_wholes(machine: RayMachine, proxy: ProxyServer) -> None:
    url = f"http://127.0.0.1:{proxy.port}"
    await machine.put(**code(GANGS))
    await machine.until(has("Member", 2, 2))
    first = await _gangs(url)
    assert len(first) == 1
    odd: list[int] = []

    def has_four(status: ApplicationStatus) -> bool:
        member = of(status, "Member")
        if member is not None:
            odd.extend(number for number in (member.desired,) if number % 2)
        return has("Member", 4, 4)(status)

    # Ten requests at a time at four per replica are three replicas, thus two gangs.
    async with Load(url, clients=10) as load:
        up = await machine.until(has_four)
    assert load.failed == []
    assert odd == [], "never a part of a gang"
    assert "in gangs of 2" in (of(up, "Member") or up.deployments[0]).reason
    down = await machine.until(has("Member", 2, 2))
    assert (of(down, "Member") or down.deployments[0]).total >= 2
    assert len(await _gangs(url)) == 1


async def _gangs(url: str) -> set[str]:
    """Return the gangs that answer."""
    async with aiohttp.ClientSession() as session:
        answers = await asyncio.gather(*(_get(session, url) for _ in range(12)))
    assert {status for status, _ in answers} == {200}
    return {text for _, text in answers}


async def test_load_raises_replicas_and_its_end_lowers_them_down_to_zero(
    machine: RayMachine, proxy: ProxyServer
) -> None:
    """One test, as starting Ray is what takes the time."""
    url = f"http://127.0.0.1:{proxy.port}"
    override = DeploymentOverride(name="Ingress", autoscaling=LIMITS)
    await machine.put(**code(CODE), deployments=(override,))
    await machine.until(has("Ingress", 1, 1))
    status = await machine.until(has("Model", 0, 0))
    model = of(status, "Model")
    assert model is not None
    assert model.reason == "autoscaling begins with minReplicas, 0"
    # A policy of the user's own runs in a replica.
    steered = await machine.until(has("Steered", 2, 2))
    assert (of(steered, "Steered") or steered.deployments[0]).reason == "autoscaled from 1 to 2: policy m:two says 2"

    # One for the whole application takes the place of it, and of its absence, without a restart.
    pids = machine.replica_pids()
    together = Policy(import_path="m:together", args={"spare": 1})
    await machine.put(**code(CODE), deployments=(override,), autoscaling_policy=together)
    steered = await machine.until(has("Steered", 4, 4))
    why = "autoscaled from 2 to 4: the application's policy m:together says 4"
    assert (of(steered, "Steered") or steered.deployments[0]).reason == why
    await machine.put(**code(CODE), deployments=(override,), autoscaling_policy=Policy(import_path="m:never"))
    await machine.until(said("Steered", "autoscaling stays at 4: policy m:never: LookupError: nothing to go by"))
    await machine.put(**code(CODE), deployments=(override,))
    await machine.until(has("Steered", 2, 2))
    assert len(pids & machine.replica_pids()) >= len(pids) - 2, "the ingress stayed, and some of the steered"

    # Requests at zero wait for the first replica, none is lost, and they do so over a handle in a replica.
    async with aiohttp.ClientSession() as session:
        first = await asyncio.gather(*(_get(session, url) for _ in range(20)))
    assert first == [(200, "done")] * 20
    woken = await machine.until(lambda it: (of(it, "Model") or it.deployments[0]).desired > 0)
    assert (of(woken, "Model") or woken.deployments[0]).reason.startswith("autoscaled from 0 to ")

    await machine.until(has("Ingress", 1, 1))
    # Load through the proxy raises the ingress, and each decision says why; nothing fails on the way up and down.
    async with Load(f"{url}/alone?seconds=0.2", clients=12) as load:
        up = await machine.until(has("Ingress", 3, 3))
    assert load.failed == []
    assert load.answered > 0
    ingress = of(up, "Ingress")
    assert ingress is not None
    assert "4 per replica are right" in ingress.reason
    down = await machine.until(has("Ingress", 1, 1))
    assert (of(down, "Ingress") or down.deployments[0]).reason.startswith("autoscaled from ")
    idle = await machine.until(has("Model", 0, 0))
    assert (of(idle, "Model") or idle.deployments[0]).reason.startswith("autoscaled from 1 to 0: no request for ")

    # A controller that starts anew goes on from where it was.
    assert machine.controller is not None
    machine.controller.kill()
    machine.controller.wait()
    machine.start_controller()
    await machine.until(has("Ingress", 1, 1))
    async with aiohttp.ClientSession() as session:
        assert await _get(session, url) == (200, "done")
        async with session.get(f"http://127.0.0.1:{machine.port}/metrics") as answer:
            text = await answer.text()
    assert 'remora_autoscaling_max_replicas{application="app",deployment="Model"} 3' in text

    # The whole application at zero: the proxy says that nobody asks, keeps 100 first requests, and says that they wait.
    await _heard(proxy, Activity.IDLE)
    await machine.put(**code(CODE), deployments=(override,), asleep=True, generation=2)
    await machine.until(lambda it: it.generation == 2 and all((d.desired, d.total) == (0, 0) for d in it.deployments))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        asking = [asyncio.create_task(_get(session, f"{url}/alone?seconds=0")) for _ in range(100)]
        await _heard(proxy, Activity.WAITING)
        assert not any(task.done() for task in asking)
        await machine.put(**code(CODE), deployments=(override,), generation=3)
        assert await asyncio.gather(*asking) == [(200, "alone")] * 100
    await _heard(proxy, Activity.IDLE)


async def _heard(proxy: ProxyServer, wanted: Activity) -> None:
    """Listen to the proxy as the operator does, until it says so."""
    epoch, version = "", 0
    async with asyncio.timeout(30):
        while True:
            said = await proxy.holding.newer(epoch, version, 5)
            if said is not None:
                epoch, version = said.epoch, said.version
                if [it.activity for it in said.applications] == [wanted]:
                    return


async def _get(session: aiohttp.ClientSession, url: str) -> tuple[int, str]:
    async with session.get(url) as answer:
        return answer.status, await answer.text()
