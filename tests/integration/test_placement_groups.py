"""Placement groups of replicas on a real Ray: they come before their replica and go after it, whoever dies."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from remora_api.wire import ApplicationStatus, BuildState
from tests.fakes.ray_cluster import RayMachine, code

pytestmark = pytest.mark.ray

CODE = """
import ray
from remora import serve

@ray.remote(num_cpus=2)
class Worker:
    pass

@serve.deployment(placement_group_bundles=[{"CPU": 1}, {"CPU": 2}], placement_group_strategy="STRICT_PACK")
class Model:
    def __init__(self):
        self.worker = Worker.remote()
        ray.get(self.worker.__ray_ready__.remote())

    def __call__(self): return "one"

app = Model.bind()
"""


def is_complete(status: ApplicationStatus) -> bool:
    return status.build.state is BuildState.BUILT and all(d.updated == d.desired == d.total for d in status.deployments)


async def until_groups(machine: RayMachine, replicas: int) -> dict[str, str]:
    """Wait until there are as many groups as there should be replicas."""
    async with asyncio.timeout(30):
        while len(found := await asyncio.to_thread(machine.groups)) != replicas:  # noqa: ASYNC110 - Ray tells nobody of groups
            await asyncio.sleep(0.1)
    return found


async def test_a_life_of_groups(machine: RayMachine) -> None:
    # Of eight CPUs, two replicas take three each; there is no room for another.
    two = {"name": "Model", "replicas": 2}
    await machine.put(**code(CODE), deployments=(two,))
    await machine.until(is_complete)
    first = await until_groups(machine, 2)
    assert set(first.values()) == {"STRICT_PACK"}
    workers = machine.pids("ray::Worker")
    assert len(workers) == 2
    await machine.put(**code(CODE), generation=2, deployments=({**two, "replicas": 3},))
    status = await machine.until(lambda s: s.generation == 2 and bool(s.deployments[0].message))
    assert status.deployments[0].message == "deployment 'Model': no worker has room for 3 CPU"
    await machine.put(**code(CODE), generation=3, deployments=(two,))
    await machine.until(lambda s: s.generation == 3 and is_complete(s))

    # A replica dies, and with it its group and what it started; its successor has another.
    os.kill(min(machine.replica_pids()), signal.SIGKILL)
    await machine.until(lambda s: s.deployments[0].ready == 1)
    await machine.until(is_complete)
    second = await until_groups(machine, 2)
    assert len(first.keys() & second.keys()) == 1
    assert len(machine.pids("ray::Worker") & workers) == 1

    # The same while the controller is dead: the next one removes the group that nobody has, and keeps the other.
    assert machine.controller is not None
    machine.controller.kill()
    machine.controller.wait()
    os.kill(min(machine.replica_pids()), signal.SIGKILL)
    assert (await until_groups(machine, 2)) == second
    machine.start_controller()
    await machine.until(is_complete)
    third = await until_groups(machine, 2)
    assert len(second.keys() & third.keys()) == 1
    assert "was left over; removed" in machine.log()

    # Code with another group replaces one after the other within the room that there is.
    await machine.put(
        **code(CODE.replace("STRICT_PACK", "SPREAD")), generation=4, deployments=(two,), max_unavailable=1
    )
    await machine.until(lambda s: s.generation == 4 and is_complete(s))
    assert set((await until_groups(machine, 2)).values()) == {"SPREAD"}

    # Deleted: nothing is left.
    await machine.control.delete("/v1/targets/app")
    await until_groups(machine, 0)
    assert not machine.replica_pids() | machine.pids("ray::Worker")


GANGS = """
from remora import serve

@serve.deployment(num_replicas=4, gang_scheduling_config={"gang_size": 2}, ray_actor_options={"num_cpus": 2})
class Member:
    def __call__(self): return serve.get_replica_context().gang_context.gang_id

app = Member.bind()
"""


async def test_a_life_of_gangs(machine: RayMachine) -> None:
    # Of eight CPUs, two gangs of two take four each.
    await machine.put(**code(GANGS))
    await machine.until(is_complete)
    first = machine.replica_pids()
    assert len(first) == 4
    more = {"name": "Member", "replicas": 5}
    await machine.put(**code(GANGS), generation=2, deployments=(more,))
    status = await machine.until(lambda s: s.generation == 2 and bool(s.deployments[0].message))
    (deployment,) = status.deployments
    assert deployment.message == "deployment 'Member': no workers have room for 2 times 2 CPU at once"
    assert (deployment.desired, deployment.total) == (6, 4), "five replicas are three gangs, and there is room for two"
    await machine.put(**code(GANGS), generation=3)
    await machine.until(lambda s: s.generation == 3 and is_complete(s))

    # One replica dies while the controller is dead: the next one ends what is left of its gang, and starts another.
    assert machine.controller is not None
    machine.controller.kill()
    machine.controller.wait()
    os.kill(min(machine.replica_pids()), signal.SIGKILL)
    machine.start_controller()
    await machine.until(lambda s: s.deployments[0].ready == 2)
    await machine.until(is_complete)
    async with asyncio.timeout(20):
        while len(machine.replica_pids()) != 4:  # noqa: ASYNC110 - nobody tells when a foreign process has ended
            await asyncio.sleep(0.1)
    assert len(machine.replica_pids() & first) == 2
    assert "killed, as another replica of its gang has ended" in machine.log()

    await machine.control.delete("/v1/targets/app")
    async with asyncio.timeout(30):
        while machine.replica_pids():  # noqa: ASYNC110
            await asyncio.sleep(0.1)
