"""`head.storage`: Ray's tables outlive the head pod, so the same Ray cluster and the same processes serve on."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.cluster import Cluster
from tests.cluster.bare import Bare
from tests.e2e.apps import application, deployment, source
from tests.e2e.stage import Stage, eventually, two_on_two_pods
from tests.e2e.volume import volume

pytestmark = pytest.mark.cluster


@pytest.fixture
def storage_class(operator: Cluster, stage: Stage) -> Iterator[str]:
    """A StorageClass of the test's own with one volume, on the first node."""
    if not isinstance(operator.backend, Bare):
        pytest.skip("kind has a storage class of its own, and its nodes' files are not this machine's")
    with volume(operator, f"{stage.namespace}-local") as name:
        yield name
        stage.kubectl("delete", "sapp", "--all", "--wait=true")
        eventually(lambda: not stage.list("pods", application="steady"), 90, "no pods")


def test_a_lost_head_pod_comes_back_to_the_same_ray_cluster(stage: Stage, storage_class: str) -> None:
    stage.apply(
        application(
            "steady",
            "steady:app",
            code={"inline": {"steady.py": source("steady")}},
            deployments=[deployment("Steady", replicas=2, maxOngoingRequests=100)],
            head={
                "resources": {"cpu": "200m", "memory": "1Gi"},
                "storage": {"size": "1Gi", "storageClassName": storage_class},
            },
        )
    )
    stage.wait_ready("steady")
    before = eventually(lambda: two_on_two_pods(stage), 90, "two replicas on two pods")
    (head,) = stage.pods("steady", "head")
    with stage.load("steady", "--rate", "100", "--connections", "10", "--for", "240") as load:
        stage.kubectl("delete", "pod", head["metadata"]["name"])
        eventually(lambda: another_head_is_ready(stage, head["metadata"]["uid"]), 120, "another head pod")
        stage.wait_ready("steady")
        report = load.stop()
    assert report["failures"] == []
    assert set(report["answers"]) == before, "no other process has answered"
    assert stage.get("sapp", "steady")["status"]["ray"]["incarnation"] == 1
    assert {stage.answer("steady") for _ in range(20)} == before
    stage.kubectl("delete", "sapp", "steady", "--wait=true")
    eventually(lambda: not json.loads(stage.kubectl("get", "pvc", "-o", "json"))["items"], 90, "no claim left")


def another_head_is_ready(stage: Stage, uid: str) -> bool:
    """Whether the head pod is a new one with all containers ready."""
    return any(
        pod["metadata"]["uid"] != uid
        and all(it["ready"] for it in pod["status"].get("containerStatuses", [{"ready": False}]))
        for pod in stage.pods("steady", "head")
    )
