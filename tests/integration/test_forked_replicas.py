"""Replicas on a real Ray are forks of their node's template, and no worse for it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from pathlib import Path

import httpx
import pytest

from remora.proxy.server import ProxyServer
from tests.fakes.ray_cluster import RayMachine, code
from tests.fakes.services import until

pytestmark = pytest.mark.ray

CODE = """
import gc
import os
import random

import ray

from remora import serve

@serve.deployment(num_replicas=1, ray_actor_options={"num_cpus": 0.1})
class Model:
    async def __call__(self, request):
        drawn = [random.random(), ray.ObjectRef.from_random().hex(), ray.put(1).hex()]
        return [os.getpid(), gc.isenabled(), *drawn]

app = Model.bind()
"""


async def reached(proxy: ProxyServer, machine: RayMachine) -> None:
    """Route everything to the machine's application, and wait for all of its replicas."""
    url = machine.route(proxy)
    pool = None
    async with asyncio.timeout(20):
        while pool is None or pool.ready < 3:
            pool = proxy.router.cluster(url).ingress("app")
            await asyncio.sleep(0.05)


def parents(pids: set[int]) -> set[int]:
    return {int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in pids}


def own_kib(pid: int) -> int:
    """Return the memory that a process shares with nobody."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def resident_kib(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


async def scaled(machine: RayMachine, generation: int, replicas: int) -> set[int]:
    deployments = ({"name": "Model", "replicas": replicas},)
    await machine.put(**code(CODE), generation=generation, deployments=deployments)
    await machine.until(lambda it: it.generation == generation and [d.ready for d in it.deployments] == [replicas])
    return machine.replica_pids()


async def test_replicas_share_what_their_template_imported_and_nothing_that_is_to_be_their_own(
    machine: RayMachine, proxy: ProxyServer
) -> None:
    three = await scaled(machine, 1, 3)
    (template,) = parents(three)
    assert b"remora.lean_ray" in command(template)
    assert all(own_kib(pid) < resident_kib(pid) / 2 for pid in three)
    await reached(proxy, machine)
    answers: dict[int, list[object]] = {}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{proxy.port}") as client:
        for _ in range(100):
            pid, *drawn = (await client.get("/")).json()
            answers.setdefault(pid, drawn)
            if len(answers) == 3:
                break
    assert answers.keys() == three
    collects, *ids = zip(*answers.values(), strict=True)
    assert all(collects)
    assert [len(set(it)) for it in ids] == [3, 3, 3], "drawn by chance, by each for itself"
    await scaled(machine, 2, 1)
    await until(lambda: len(machine.replica_pids()) == 1, within_s=30)
    (kept,) = machine.replica_pids()
    assert kept in three
    await until(lambda: not any(map(is_there, three - {kept})))


async def test_one_that_is_killed_is_replaced_by_another(machine: RayMachine) -> None:
    before = await scaled(machine, 1, 2)
    victim = random.choice(sorted(before))
    os.kill(victim, signal.SIGKILL)
    await until(lambda: len(machine.replica_pids() - before) == 1, within_s=30)
    assert not is_there(victim)


async def test_without_the_template_replicas_are_started_by_ray(machine: RayMachine) -> None:
    first = await scaled(machine, 1, 1)
    (template,) = parents(first)
    os.kill(template, signal.SIGKILL)
    both = await scaled(machine, 2, 2)
    assert first < both
    assert parents(both - first) != {template}
