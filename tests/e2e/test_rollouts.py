"""Rollouts under load, by a client that counts every request: canary, blue/green, and what is taken back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.apps import application, deployment
from tests.e2e.stage import Stage, eventually

pytestmark = pytest.mark.cluster

LOAD = ("--rate", "100", "--connections", "8", "--for", "240")


def speaker(word: str, **spec: Any) -> dict[str, Any]:
    """Return an application of two replicas that answers one word."""
    text = f"""from ray import serve

@serve.deployment
class Speaker:
    def __call__(self):
        return {word!r}

app = Speaker.bind()
"""
    return application(
        "speaker",
        "speaker:app",
        code={"inline": {"speaker.py": text}},
        deployments=[deployment("Speaker", replicas=2, maxOngoingRequests=50)],
        **spec,
    )


def test_a_canary_is_promoted_and_undone_without_a_failed_request(stage: Stage) -> None:
    canary = {"strategy": "Canary", "canary": {"steps": [{"weight": 20}]}}
    stage.apply(speaker("one", rollout=canary))
    stage.wait_ready("speaker")
    first = status(stage)["currentRevision"]
    with stage.load("speaker", *LOAD) as whole:
        stage.apply(speaker("two", rollout=canary))
        eventually(lambda: reason(stage) == "Promoting", 90, "a canary that is ready")
        weights = {it["name"]: it.get("weight", 0) for it in status(stage)["revisions"]}
        assert sorted(weights.values()) == [20, 80]
        print(stage.remora("rollout", "status", "speaker"))
        stage.remora("rollout", "promote", "speaker")
        stage.wait_ready("speaker", within_s=60)
        assert {stage.answer("speaker") for _ in range(5)} == {"two"}
        stage.remora("rollout", "undo", "speaker")
        eventually(lambda: reason(stage) == "Promoting", 90, "the earlier revision as a canary")
        stage.remora("rollout", "promote", "speaker", "--full")
        stage.wait_ready("speaker", within_s=60)
    print(stage.remora("rollout", "history", "speaker"))
    assert status(stage)["currentRevision"] == first
    assert stage.answer("speaker") == "one"
    report(whole.report)


def test_blue_green_is_previewed_by_header_and_moved_at_once(stage: Stage) -> None:
    stage.apply(speaker("blue", rollout={"strategy": "BlueGreen"}))
    stage.wait_ready("speaker")
    with stage.load("speaker", *LOAD) as load:
        stage.apply(speaker("green", rollout={"strategy": "BlueGreen"}, env=[{"name": "COLOUR", "value": "green"}]))
        eventually(lambda: reason(stage) == "Promoting", 90, "a green that is ready")
        assert {stage.answer("speaker") for _ in range(5)} == {"blue"}
        eventually(lambda: preview(stage) == "green", 20, "a preview")
        stage.remora("rollout", "promote", "speaker")
        stage.wait_ready("speaker", within_s=60)
        assert {stage.answer("speaker") for _ in range(5)} == {"green"}
        eventually(lambda: len(stage.pods("speaker", "head")) == 1, 60, "one head")
    report(load.report)


def status(stage: Stage) -> dict[str, Any]:
    return dict(stage.get("sapp", "speaker").get("status", {}))


def reason(stage: Stage) -> str:
    """Return why it is not Ready, said of the spec that stands."""
    resource = stage.get("sapp", "speaker")
    ready = stage.condition("speaker", "Ready")
    return str(ready.get("reason")) if ready.get("observedGeneration") == resource["metadata"]["generation"] else ""


def preview(stage: Stage) -> str:
    return stage.ask("speaker", headers={"x-remora-preview": "1"})[1]


def report(figures: dict[str, Any]) -> None:
    """Print what the load was, and hold it to no failure."""
    print(
        json.dumps({key: figures[key] for key in ("requests", "failed", "answers", "p50_ms", "p99_ms", "longest_ms")})
    )
    assert figures["failures"] == []
