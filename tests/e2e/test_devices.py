"""Devices that replicas ask for bring pods of the groups that have them, and those go again with the replicas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.e2e.apps import application, deployment
from tests.e2e.stage import Stage, eventually

pytestmark = pytest.mark.cluster

GPU, CHIP = "nvidia.com/gpu", "example.com/chip"
CODE = """import os

from ray import serve


class Named:
    def __call__(self):
        return os.environ["POD_NAME"]


Seeing, Chipped = (serve.deployment(Named).options(name=name) for name in ("Seeing", "Chipped"))


@serve.deployment(max_ongoing_requests=100)
class Front:
    def __init__(self, seeing, chipped):
        self.devices = {"/seeing": seeing, "/chipped": chipped}

    async def __call__(self, request):
        device = self.devices.get(request.url.path)
        return await device.remote() if device else "front"


app = Front.bind(Seeing.bind(), Chipped.bind())
"""


@pytest.fixture
def devices(operator: Cluster) -> Iterator[None]:
    """Two GPUs and two chips on each node, as far as Kubernetes can tell: no device plugin stands behind them."""
    found = json.loads(operator.kubectl("get", "nodes", "-o", "json"))["items"]
    names = [it["metadata"]["name"] for it in found]

    def patch(verb: str, **value: str) -> None:
        paths = [f"/status/capacity/{it.replace('/', '~1')}" for it in (GPU, CHIP)]
        words = json.dumps([{"op": verb, "path": path, **value} for path in paths])
        for name in names:
            operator.kubectl("patch", "node", name, "--subresource=status", "--type=json", "-p", words)

    def are_there() -> bool:
        nodes = json.loads(operator.kubectl("get", "nodes", "-o", "json"))["items"]
        return all({GPU, CHIP} <= it["status"]["allocatable"].keys() for it in nodes)

    patch("add", value="2")
    try:
        eventually(are_there, 90, "the devices in what the kubelets say that they have")
        yield
    finally:
        patch("remove")


def machine(replicas: int) -> dict[str, Any]:
    """Return a front, and so many replicas of which each has a GPU, and of which each has a chip."""
    little = {"cpu": "100m", "memory": "200Mi"}
    pod = {"cpu": "300m", "memory": "1Gi"}
    return application(
        "machine",
        "machine:app",
        code={"inline": {"machine.py": CODE}},
        deployments=[
            deployment("Front"),
            {"name": "Seeing", "replicas": replicas, "resources": little | {GPU: 1}},
            {"name": "Chipped", "replicas": replicas, "resources": little | {CHIP: 1}},
        ],
        workers=[
            {"name": "plain", "minReplicas": 1, "maxReplicas": 1, "resources": pod},
            {"name": "gpus", "minReplicas": 0, "maxReplicas": 3, "resources": pod | {GPU: 1}},
            {"name": "chips", "minReplicas": 0, "maxReplicas": 3, "resources": pod | {CHIP: 2}},
        ],
    )


def groups(stage: Stage) -> list[str]:
    """Return the groups of the worker pods that there are."""
    return sorted(it["metadata"]["labels"]["remora.dev/group"] for it in stage.pods("machine", "worker"))


@pytest.mark.usefixtures("devices")
def test_pods_come_and_go_with_the_replicas_that_need_their_devices(stage: Stage) -> None:
    stage.apply(machine(0))
    stage.wait_ready("machine")
    assert groups(stage) == ["plain"]
    with stage.load("machine", "--rate", "50", "--connections", "4", "--for", "300") as load:
        stage.apply(machine(2))
        stage.wait_ready("machine")
        counted = {it: groups(stage).count(it) for it in ("plain", "gpus", "chips")}
        # One GPU a pod; a pod of chips has room for both, of which each is on a node of its own where it may be.
        assert counted["plain"] == 1
        assert counted["gpus"] == 2
        assert counted["chips"] in (1, 2)
        assert {it.split("-")[1] for it in stage.answers("machine", 8, "/seeing")} == {"gpus"}
        assert {it.split("-")[1] for it in stage.answers("machine", 8, "/chipped")} == {"chips"}
        stage.apply(machine(0))
        eventually(lambda: groups(stage) == ["plain"], 90, "only the pod that has no device")
    assert load.report["failures"] == []
