"""A rollout whose operator and controllers are killed in the middle goes on, and costs no request."""

from __future__ import annotations

import json

import pytest

from demo.story import SYSTEM
from tests.e2e.stage import Stage, eventually
from tests.e2e.test_rollouts import LOAD, report, speaker, status

pytestmark = [pytest.mark.cluster, pytest.mark.alone]


@pytest.mark.parametrize("strategy", ["Rolling", "Canary"])
def test_a_rollout_goes_on_when_operator_and_controllers_are_killed_in_the_middle(stage: Stage, strategy: str) -> None:
    steps = {"steps": [{"weight": 20, "pauseSeconds": 5}, {"weight": 50, "pauseSeconds": 5}]}
    rollout = {"strategy": strategy} | ({"canary": steps} if strategy == "Canary" else {})
    stage.apply(speaker("one", rollout=rollout))
    stage.wait_ready("speaker")
    first = status(stage)["currentRevision"]
    with stage.load("speaker", *LOAD) as load:
        # Pods of its own, so that there is time in the middle.
        stage.apply(speaker("two", rollout=rollout, env=[{"name": "WORD", "value": "two"}]))
        eventually(lambda: status(stage).get("updatedRevision") not in ("", None, first), 60, "a rollout that began")
        lease = json.loads(stage.cluster.kubectl("get", "lease", "remora-operator", "-n", SYSTEM, "-o", "json"))
        leader = lease["spec"]["holderIdentity"].partition("_")[0]
        stage.cluster.kubectl("delete", "pod", "-n", SYSTEM, leader, "--grace-period=0", "--force")
        for head in stage.pods("speaker", "head"):
            if any(
                it.get("started") for it in head["status"].get("containerStatuses", []) if it["name"] == "controller"
            ):
                stage.kill_container(head, "controller")
        assert status(stage)["currentRevision"] == first, "in the middle"
        stage.wait_ready("speaker", within_s=180)
        assert set(stage.answers("speaker", 20)) == {"two"}
        eventually(lambda: len(stage.pods("speaker", "head")) == 1, 90, "one head")
    report(load.report)
