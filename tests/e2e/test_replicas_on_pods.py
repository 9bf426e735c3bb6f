"""What the replicas of a deployment share, and how many of them a worker pod may hold."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.apps import application, deployment
from tests.e2e.stage import Stage, eventually

pytestmark = pytest.mark.cluster

CODE = """import os

import ray
from ray import serve
from ray.serve.config import DeploymentActorConfig


@ray.remote
class Counter:
    def __init__(self):
        self.count = 0

    def add(self):
        self.count += 1
        return self.count


@serve.deployment(deployment_actors=[DeploymentActorConfig(name="counter", actor_class=Counter)])
class Counting:
    def __init__(self):
        self.counter = serve.get_deployment_actor("counter")

    async def __call__(self):
        return f"{os.environ['POD_NAME']} {await self.counter.add.remote()}"


app = Counting.bind()
"""


def counting(replicas: int) -> dict[str, Any]:
    """Return replicas that are small enough for one pod, were it not for the limit."""
    return application(
        "counting",
        "counting:app",
        code={"inline": {"counting.py": CODE}},
        deployments=[deployment("Counting", replicas=replicas, maxReplicasPerNode=1, spread="None")],
    )


def answers(stage: Stage) -> tuple[set[str], list[int]]:
    """Return the pods that answered some requests, and the numbers that came."""
    said = [it.split() for it in stage.answers("counting", 16)]
    return {pod for pod, _ in said}, [int(number) for _, number in said]


def test_a_pod_holds_no_more_than_it_may_and_all_replicas_share_an_actor(stage: Stage) -> None:
    stage.apply(counting(2))
    stage.wait_ready("counting")
    pods, first = answers(stage)
    assert len(pods) == 2

    stage.apply(counting(3))
    stage.wait_ready("counting")
    eventually(lambda: len(answers(stage)[0]) == 3, 60, "answers of three pods")
    _, last = answers(stage)
    assert first == list(range(1, 17)), "one actor counts for all"
    assert last == list(range(last[0], last[0] + 16))
