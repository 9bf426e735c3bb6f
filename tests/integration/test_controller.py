"""The controller on a real Ray: replicas that outlive it, builds that fail, code and settings that change."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

import pytest

from remora_api.wire import ApplicationStatus, BuildState
from tests.fakes.ray_cluster import RayMachine, code

pytestmark = pytest.mark.ray

GOOD = """
import ray
from ray.serve.config import DeploymentActorConfig
from remora import serve

@ray.remote
class Memo:
    pass

@serve.deployment(
    user_config={"word": "moin"}, deployment_actors=[DeploymentActorConfig(name="memo", actor_class=Memo)]
)
class Model:
    def reconfigure(self, config):
        if config["word"] == "refused":
            raise ValueError("no such word")
    def __call__(self, request): return "one"

app = Model.bind()
"""


def is_complete(status: ApplicationStatus) -> bool:
    return status.build.state is BuildState.BUILT and all(d.updated == d.desired == d.total for d in status.deployments)


async def until(holds: Callable[[], bool]) -> None:
    """Wait for processes: Ray tells of an actor's end a moment before its process is gone."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - nobody tells when a foreign process has ended
            await asyncio.sleep(0.1)


async def test_a_life(machine: RayMachine) -> None:
    """One test, as starting Ray is what takes the time; the steps are those of an application's life."""
    # It starts, is scaled without a restart, and settings reach it in place.
    await machine.put(**code(GOOD))
    await machine.until(is_complete)
    first, memo = machine.replica_pids(), machine.pids("ray::Memo")
    assert (len(first), len(memo)) == (1, 1)
    override = {"name": "Model", "replicas": 2, "user_config": {"word": "hallo"}, "has_user_config": True}
    await machine.put(**code(GOOD), generation=2, deployments=(override,))
    await machine.until(lambda s: s.generation == 2 and is_complete(s))
    both = machine.replica_pids()
    assert first < both
    assert len(both) == 2

    # The controller dies; another finds the same processes, and routes to them.
    before = await machine.routes()
    assert machine.controller is not None
    machine.controller.kill()
    machine.controller.wait()
    machine.start_controller()
    after = await machine.routes()
    assert after.applications == before.applications
    assert after.epoch != before.epoch
    await machine.until(is_complete)
    assert machine.replica_pids() == both
    assert machine.pids("ray::Memo") == memo, "both replicas share it, and it outlives the controller"

    # A replica dies and is replaced, the other one is left alone.
    victim = min(both)
    os.kill(victim, signal.SIGKILL)
    await machine.until(lambda s: s.deployments[0].ready == 1)
    await machine.until(is_complete)
    assert both - machine.replica_pids() == {victim}

    # Code that cannot be imported: said so, and the old replicas serve on.
    serving = machine.replica_pids()
    await machine.put(**code("import nowhere"), generation=3)
    status = await machine.until(lambda s: s.build.state is BuildState.FAILED)
    assert status.build.message == "import path 'm:app': ModuleNotFoundError: No module named 'nowhere'"
    assert status.deployments[0].ready == 2
    assert machine.replica_pids() == serving

    # Code whose constructor raises: said so, the old ones serve on; then a repair.
    broken = GOOD.replace("def reconfigure", "def __init__(self): raise KeyError('weights')\n    def reconfigure")
    await machine.put(**code(broken), generation=4, deployments=({"name": "Model", "replicas": 2},))
    status = await machine.until(lambda s: s.generation == 4 and any(d.failing for d in s.deployments))
    (deployment,) = status.deployments
    assert deployment.message == "deployment 'Model': the constructor of m.Model failed: KeyError: 'weights'"
    assert (deployment.ready, deployment.updated) == (2, 0)
    assert serving <= machine.replica_pids()

    # Code whose health check does not pass from the start never counts as ready.
    ill = GOOD.replace("def reconfigure", "def check_health(self): raise OSError('no store')\n    def reconfigure")
    await machine.put(**code(ill), generation=5, deployments=({"name": "Model", "replicas": 2},))
    status = await machine.until(lambda s: any(d.failing and "check_health" in d.message for d in s.deployments))
    (deployment,) = status.deployments
    assert deployment.message == "deployment 'Model': check_health failed: OSError: no store"
    assert (deployment.ready, deployment.updated) == (2, 0)
    assert serving <= machine.replica_pids()
    repaired = GOOD.replace('"one"', '"two"')
    await machine.put(**code(repaired), generation=6, deployments=({"name": "Model", "replicas": 2},))
    await machine.until(lambda s: s.generation == 6 and is_complete(s))
    await until(lambda: not (serving | memo) & (machine.replica_pids() | machine.pids("ray::Memo")))

    # A node holds no more of them than it may, also while one version follows another.
    limited = {"name": "Model", "replicas": 3, "max_replicas_per_node": 2}
    await machine.put(**code(repaired), generation=7, deployments=(limited,))
    status = await machine.until(lambda s: s.generation == 7 and bool(s.deployments[0].message))
    (deployment,) = status.deployments
    assert deployment.message == "deployment 'Model': every worker holds max_replicas_per_node (2) of its replicas"
    assert (deployment.ready, deployment.total) == (2, 2)
    await machine.put(**code(repaired), generation=8, deployments=({**limited, "max_replicas_per_node": 4},))
    await machine.until(lambda s: s.generation == 8 and is_complete(s))
    await until(lambda: len(machine.replica_pids()) == 3)

    # Deleted: nothing is left.
    await machine.control.delete("/v1/targets/app")
    await until(lambda: not machine.replica_pids() | machine.pids("ray::Memo"))
