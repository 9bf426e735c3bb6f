"""Placement groups of replicas in worker pods: how many pods come for them, and on which the bundles lie."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.apps import application
from tests.e2e.stage import Stage, eventually

pytestmark = pytest.mark.cluster

CODE = """import os

import ray
from ray import serve
from ray.util.placement_group import placement_group_table


@ray.remote(num_cpus=0.1)
class Half:
    def pod(self):
        return os.environ["POD_NAME"]


@serve.deployment(
    placement_group_bundles=[{"CPU": 0.1}, {"CPU": 0.1}],
    placement_group_strategy=%r,
    ray_actor_options={"num_cpus": 0.1},
)
class Large:
    def __init__(self):
        self.half = Half.remote()

    async def __call__(self):
        groups = [it["name"] for it in placement_group_table().values() if it["state"] != "REMOVED"]
        return {"own": os.environ["POD_NAME"], "half": await self.half.pod.remote(), "groups": groups}


app = Large.bind()
"""


def large(strategy: str) -> dict[str, Any]:
    """Return one replica of two bundles, each half of a pod: how many pods it takes depends on the strategy."""
    worker = {"name": "default", "minReplicas": 0, "maxReplicas": 4, "resources": {"cpu": "200m", "memory": "1Gi"}}
    return application("large", "large:app", code={"inline": {"large.py": CODE % strategy}}, workers=[worker])


def said(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stage.answer("large"))
    return found


def workers(stage: Stage) -> set[str]:
    return {
        it["metadata"]["name"] for it in stage.pods("large", "worker") if not it["metadata"].get("deletionTimestamp")
    }


def test_a_packed_group_takes_one_pod_and_a_spread_one_two(stage: Stage) -> None:
    stage.apply(large("STRICT_PACK"))
    stage.wait_ready("large")
    first = said(stage)
    assert first["own"] == first["half"]
    assert len(first["groups"]) == 1
    assert workers(stage) == {first["own"]}, "both bundles fit into one pod, and one pod came"

    stage.apply(large("STRICT_SPREAD"))
    stage.wait_ready("large")
    second = eventually(
        lambda: (it := said(stage))["own"] != it["half"] and len(it["groups"]) == 1 and it, 120, "spread bundles"
    )
    assert first["groups"] != second["groups"], "a group of its own for the new replica, none is left of the old one"
    eventually(lambda: workers(stage) == {second["own"], second["half"]}, 120, "no more than two pods")

    # The pod that has only a bundle is as much the replica's as the one it runs in.
    stage.kubectl("delete", "pod", second["half"], "--wait=false")

    def healed() -> bool:
        head, text = stage.ask("large", "/")
        if head.status != 200:
            # The replica lives without the worker that it has lost, until there is another.
            return False
        found = json.loads(text)
        return second["half"] not in (found["own"], found["half"]) and found["own"] != found["half"]

    eventually(healed, 240, "another group on pods that live")
    eventually(lambda: len(said(stage)["groups"]) == 1, 60, "one group alone")


def test_bundles_of_the_resource_stand_in_the_place_of_the_codes(stage: Stage) -> None:
    bundles = {"name": "Large", "bundles": [{"cpu": "100m"}, {"cpu": "100m"}], "bundleStrategy": "StrictSpread"}
    manifest = large("STRICT_PACK")
    stage.apply({**manifest, "spec": {**manifest["spec"], "deployments": [bundles]}})
    stage.wait_ready("large")
    found = said(stage)
    assert found["own"] != found["half"], "apart, as the resource says"
    assert workers(stage) == {found["own"], found["half"]}


LABELLED = """import os

import ray
from ray import serve


@serve.deployment(
    placement_group_bundles=[{"CPU": 0.1}],
    placement_group_bundle_label_selector=[{"disk": "ssd"}],
    ray_actor_options={"num_cpus": 0.1},
)
class Labelled:
    def __call__(self):
        return os.environ["POD_NAME"]


app = Labelled.bind()
"""


def labelled(labels: dict[str, str]) -> dict[str, Any]:
    """Return two groups that could both hold the replica; the second has these labels."""
    size = {"minReplicas": 0, "maxReplicas": 2, "resources": {"cpu": "200m", "memory": "1Gi"}}
    workers = [{"name": "plain", **size}, {"name": "ssd", **size, "rayLabels": labels}]
    return application("labelled", "labelled:app", code={"inline": {"labelled.py": LABELLED}}, workers=workers)


def test_a_pod_comes_of_the_group_that_has_the_labels_and_without_one_it_says_so(stage: Stage) -> None:
    stage.apply(labelled({"disk": "ssd"}))
    stage.wait_ready("labelled")
    group = {
        it["metadata"]["name"]: it["metadata"]["labels"]["remora.dev/group"] for it in stage.pods("labelled", "worker")
    }
    assert group[stage.answer("labelled")] == "ssd"

    stage.apply(labelled({"disk": "tape"}))
    stalled = eventually(
        lambda: (it := stage.condition("labelled", "Stalled")).get("status") == "True" and it, 180, "Stalled"
    )
    assert "asks for {disk: ssd}" in stalled["message"]
    assert "rayLabels in spec.workers" in stalled["message"]
    assert stage.answer("labelled"), "the replica that is there serves on"
