"""How a rollout goes forward where no node has room for one pod more."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.apps import application, deployment, source
from tests.e2e.stage import Stage, eventually, two_on_two_pods
from tests.e2e.watch import watched

pytestmark = [pytest.mark.cluster, pytest.mark.alone]


def full(word: str) -> dict[str, Any]:
    """Return an application of two replicas, each of whose pods takes more than half of a node."""
    group = {"name": "default", "minReplicas": 1, "maxReplicas": 4, "resources": {"cpu": "1100m", "memory": "1Gi"}}
    return application(
        "steady",
        "steady:app",
        code={"inline": {"steady.py": source("steady")}},
        deployments=[
            deployment("Steady", replicas=2, maxOngoingRequests=100) | {"resources": {"cpu": "1", "memory": "200Mi"}}
        ],
        workers=[group],
        env=[{"name": "WORD", "value": word}],
    )


def test_on_a_full_cluster_a_rollout_goes_forward_one_replica_at_a_time(stage: Stage) -> None:
    stage.apply(full("one"))
    stage.wait_ready("steady")
    eventually(lambda: two_on_two_pods(stage), 90, "two replicas on two pods")
    old = {pod["metadata"]["uid"] for pod in stage.pods("steady", "worker")}
    labels = "remora.dev/application=steady,remora.dev/component=worker"
    with (
        watched(stage, "pods", labels) as pods,
        stage.load("steady", "--rate", "100", "--connections", "8", "--for", "240") as load,
    ):
        stage.apply(full("two"))
        stage.wait_ready("steady", within_s=120)
    assert load.report["failures"] == []
    assert not old & {pod["metadata"]["uid"] for pod in stage.pods("steady", "worker")}
    # Two that run and one that found no node.
    assert pods.peak <= 3
    assert pods.unschedulable, "some node had room for one pod more: nothing was tried here"
    print(f"\nfull cluster: {load.report['requests']} requests, longest {load.report['longest_ms']} ms")
