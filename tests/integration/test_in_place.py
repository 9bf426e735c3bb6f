"""What changes without a restart, on real processes: it holds within seconds, and every process stays."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from remora.proxy.server import ProxyServer
from remora_api.autoscaling import Autoscaling, Policy
from remora_api.wire import ApplicationStatus, BuildState
from tests.fakes.ray_cluster import RayMachine, code

pytestmark = pytest.mark.ray

WITHIN_S = 5.0
"""It is one or two on a quiet machine; a policy takes two turns of a second: it is asked, then its answer counts."""

CODE = """
import asyncio
import os
from remora import serve

@serve.deployment(health_check_period_s=3600, max_ongoing_requests=1, ray_actor_options={"num_cpus": 0.1})
class Model:
    def __init__(self):
        self.config, self.checks, self.applied = None, 0, []
    async def reconfigure(self, config):
        # The first one is the slower: without an order it would be applied last.
        await asyncio.sleep(config.get("slow", 0))
        self.config = config
        self.applied.append(config["word"])
    def check_health(self):
        self.checks += 1
    async def __call__(self, request):
        await asyncio.sleep(float(request.query_params.get("seconds", 0)))
        return {"pid": os.getpid(), "config": self.config, "checks": self.checks, "applied": self.applied}

def three(contexts):
    return dict.fromkeys(contexts, 3)

app = Model.bind()
"""


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as made:
        yield made


class Scene:
    """The application, changed one setting after the other."""

    def __init__(self, machine: RayMachine, url: str, session: aiohttp.ClientSession) -> None:
        self.machine, self.url, self.session = machine, url, session
        self.settings: dict[str, Any] = {"name": "Model", "user_config": {"word": "moin"}, "has_user_config": True}
        self.target: dict[str, Any] = {}
        self.generation = 0

    async def change(self, **settings: Any) -> None:
        self.settings |= settings
        self.generation += 1
        given = {"deployments": (self.settings,), "generation": self.generation, **self.target}
        await self.machine.put(**code(CODE), **given)

    async def ask(self, seconds: float = 0) -> tuple[int, Any]:
        async with self.session.get(self.url, params={"seconds": str(seconds)}) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if answer.status == 200 else text

    async def soon(self, holds: Callable[[Any], bool]) -> None:
        """Ask until an answer is so."""
        answer: Any = None
        try:
            async with asyncio.timeout(WITHIN_S):
                while True:
                    status, answer = await self.ask()
                    if status == 200 and holds(answer):
                        return
        except TimeoutError:
            raise AssertionError(f"not within {WITHIN_S} s; the last answer was {answer}") from None

    async def decided(self, holds: Callable[[ApplicationStatus], bool]) -> ApplicationStatus:
        """Return the status once it is so, in time."""
        began = time.monotonic()
        status = await self.machine.until(lambda it: it.generation == self.generation and holds(it))
        assert time.monotonic() - began < WITHIN_S
        return status


def is_complete(status: ApplicationStatus) -> bool:
    return status.build.state is BuildState.BUILT and all(d.updated == d.desired == d.total for d in status.deployments)


def desired(number: int, reason: str) -> Callable[[ApplicationStatus], bool]:
    return lambda it: (it.deployments[0].desired, it.deployments[0].reason) == (number, reason)


async def test_settings_reach_running_replicas_within_seconds(
    machine: RayMachine, proxy: ProxyServer, session: aiohttp.ClientSession
) -> None:
    """One test, as starting Ray is what takes the time."""
    machine.route(proxy)
    scene = Scene(machine, f"http://127.0.0.1:{proxy.port}/", session)
    await scene.change(max_queued_requests=0)
    await machine.until(is_complete)
    pids = machine.replica_pids()
    assert len(pids) == 1

    # userConfig, and two of them in a row: the later one is what stays, however long the first one takes.
    await scene.change(user_config={"word": "slow", "slow": 0.5})
    await scene.change(user_config={"word": "hallo"})
    await scene.soon(lambda answer: answer["config"] == {"word": "hallo"})
    await asyncio.sleep(0.7)
    _, answer = await scene.ask()
    assert answer["config"] == {"word": "hallo"}

    # maxQueuedRequests, maxOngoingRequests: with one place and no queue the second of two requests is refused.
    assert sorted(status for status, _ in await asyncio.gather(scene.ask(0.3), scene.ask(0.3))) == [200, 503]
    await scene.change(max_ongoing_requests=3)
    await _until_taken(scene, 3)
    await scene.change(max_ongoing_requests=1, max_queued_requests=-1)
    await _until_taken(scene, 3)

    # healthCheckPeriodSeconds: an hour is not waited for. The one check is that before the replica was relied on.
    _, answer = await scene.ask()
    assert answer["checks"] == 1
    await scene.change(health_check_period_s=0.1)
    await scene.soon(lambda answer: answer["checks"] > 3)

    # The proxy's request timeout is its own: no replica hears of it.
    machine.route(proxy, 2, request_timeout_s=0.2)
    status, answer = await scene.ask(5)
    assert status == 408, answer
    machine.route(proxy, 3)
    assert (await scene.ask(0.4))[0] == 200

    # Replicas, autoscaling, and a policy for all: decided at once, and those that there are stay.
    await scene.change(replicas=2)
    await scene.decided(desired(2, "replicas of deployment Model in the resource"))
    await machine.until(is_complete)
    assert pids < (both := machine.replica_pids())
    limits = Autoscaling(min_replicas=2, max_replicas=3, upscale_delay_s=0)
    await scene.change(replicas=None, autoscaling=limits.to_plain())
    await scene.decided(desired(2, "autoscaling begins with the 2 that there were"))
    scene.target["autoscaling_policy"] = Policy(import_path="m:three").to_plain()
    await scene.change()
    await scene.decided(desired(3, "autoscaled from 2 to 3: the application's policy m:three says 3"))
    await machine.until(is_complete)
    assert both < machine.replica_pids()
    del scene.target["autoscaling_policy"]
    await scene.change(autoscaling=None, replicas=1, graceful_shutdown_timeout_s=1)
    await scene.decided(lambda it: it.deployments[0].ready == 1)
    await machine.until(is_complete)

    # gracefulShutdownTimeoutSeconds: what was changed holds for a replica that was there before.
    await scene.change(graceful_shutdown_timeout_s=0.5)
    asked = asyncio.create_task(scene.ask(60))
    await asyncio.sleep(0.2)
    began = time.monotonic()
    await scene.change(replicas=0)
    assert (await asked)[0] != 200
    assert time.monotonic() - began < 0.5 + 5


async def _until_taken(scene: Scene, number: int) -> None:
    """Ask so many at once until all are taken: what one router knows of a limit it knows a moment later."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            answers = await asyncio.gather(*(scene.ask(0.1) for _ in range(number)))
            if all(status == 200 for status, _ in answers):
                return
