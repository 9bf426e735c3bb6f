"""Rollouts under load, by a client that counts every request: canary, blue/green, and what is taken back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e import programs
from tests.e2e.apps import application, deployment
from tests.e2e.stage import Stage, eventually

pytestmark = pytest.mark.cluster

CTR = ("ctr", "--namespace", "k8s.io", "images")
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


def test_blue_green_is_previewed_by_header_and_path_and_moved_at_once(stage: Stage) -> None:
    rollout = {"strategy": "BlueGreen", "blueGreen": {"previewPath": "/preview"}}
    stage.apply(speaker("blue", rollout=rollout))
    stage.wait_ready("speaker")
    with stage.load("speaker", *LOAD) as load:
        stage.apply(speaker("green", rollout=rollout, env=[{"name": "COLOUR", "value": "green"}]))
        eventually(lambda: reason(stage) == "Promoting", 90, "a green that is ready")
        assert {stage.answer("speaker") for _ in range(5)} == {"blue"}
        eventually(lambda: preview(stage) == "green", 20, "a preview")
        assert {stage.ask("speaker", path)[1] for path in ("/preview", "/preview/deeper?a=1")} == {"green"}
        assert stage.ask("speaker", "/previews")[1] == "blue", "another path"
        stage.remora("rollout", "promote", "speaker")
        stage.wait_ready("speaker", within_s=60)
        assert {stage.answer("speaker") for _ in range(5)} == {"green"}
        assert stage.ask("speaker", "/preview")[1] == "green", "a path as any other"
        eventually(lambda: len(stage.pods("speaker", "head")) == 1, 60, "one head")
    report(load.report)


ANALYSED = {
    "strategy": "Canary",
    "canary": {
        "steps": [{"weight": 20}],
        "analysis": {"maxErrorPercent": 5, "maxLatencyPercent": 300, "latencyQuantile": "p50", "minRequests": 50},
    },
}


def test_a_canary_is_given_up_by_itself_for_its_errors_or_its_latency(stage: Stage) -> None:
    stage.apply(speaker("one", rollout=ANALYSED))
    stage.wait_ready("speaker")
    first = status(stage)["currentRevision"]
    for body, complaint in (
        ("raise RuntimeError('worse')", "% of its"),
        ("__import__('time').sleep(0.5) or 'slow'", "p50 latency"),
    ):
        bad = speaker("one", rollout=ANALYSED)
        text = bad["spec"]["code"]["inline"]["speaker.py"]
        statement = body if body.startswith("raise") else f"return {body}"
        bad["spec"]["code"] = {"inline": {"speaker.py": text.replace("return 'one'", statement)}}
        with stage.load("speaker", *LOAD) as load:
            stage.apply(bad)
            eventually(lambda: reason(stage) == "RolledBack", 150, f"taken back: {complaint}")
            assert complaint in stage.condition("speaker", "Ready")["message"]
            assert stage.condition("speaker", "Stalled")["status"] == "True"
            eventually(lambda: len(stage.pods("speaker", "head")) == 1, 90, "one head")
            # Everything goes to the one before: nothing of the canary is answered any more.
            assert set(stage.answers("speaker", 40)) == {"one"}
        figures = load.report
        print(json.dumps({key: figures[key] for key in ("requests", "failed", "statuses", "p50_ms", "p99_ms")}))
        assert status(stage)["currentRevision"] == first
        if body.startswith("raise"):
            # What failed is what the canary answered in the seconds until it was judged: a fifth of the requests.
            assert 50 <= figures["failed"] < 20 * 60
            assert all(": 500 " in it for it in figures["failures"])
        else:
            assert figures["failures"] == []
    stage.apply(speaker("two", rollout=ANALYSED))
    with stage.load("speaker", *LOAD) as load:
        eventually(lambda: reason(stage) == "Promoting", 90, "a canary of code that works")
        stage.remora("rollout", "promote", "speaker")
        stage.wait_ready("speaker", within_s=60)
    report(load.report)
    assert stage.answer("speaker") == "two"


def test_a_rollout_is_paused_resumed_aborted_and_tried_again_by_hand(stage: Stage) -> None:
    canary = {"strategy": "Canary", "canary": {"steps": [{"weight": 20}, {"weight": 50, "pauseSeconds": 1}]}}
    stage.apply(speaker("one", rollout=canary))
    stage.wait_ready("speaker")
    first = status(stage)["currentRevision"]
    with stage.load("speaker", *LOAD) as load:
        stage.remora("rollout", "pause", "speaker")
        stage.apply(speaker("two", rollout=canary))
        eventually(lambda: reason(stage) == "Paused", 30, "a rollout that is held back")
        assert len(stage.pods("speaker", "head")) == 1
        stage.remora("rollout", "resume", "speaker")
        eventually(lambda: reason(stage) == "Promoting", 90, "a canary")
        assert weights(stage) == [20, 80]
        # In the middle, too: without it the last step would be over in a second.
        stage.remora("rollout", "pause", "speaker")
        eventually(lambda: reason(stage) == "Paused", 30, "a pause in the middle")
        assert weights(stage) == [20, 80]
        stage.remora("rollout", "resume", "speaker")
        eventually(lambda: reason(stage) == "Promoting", 30, "a canary again")
        stage.remora("rollout", "abort", "speaker")
        eventually(lambda: reason(stage) == "RolledBack", 60, "an aborted canary")
        eventually(lambda: len(stage.pods("speaker", "head")) == 1, 90, "one head")
        assert set(stage.answers("speaker", 40)) == {"one"}
        assert status(stage)["currentRevision"] == first
        stage.remora("rollout", "retry", "speaker")
        eventually(lambda: reason(stage) == "Promoting", 120, "another try")
        stage.remora("rollout", "promote", "speaker")
        stage.wait_ready("speaker", within_s=60)
        assert set(stage.answers("speaker", 20)) == {"two"}
    report(load.report)


def weights(stage: Stage) -> list[int]:
    """Return the shares of the revisions that have any."""
    return sorted(it["weight"] for it in status(stage)["revisions"] if it.get("weight"))


def status(stage: Stage) -> dict[str, Any]:
    return dict(stage.get("sapp", "speaker").get("status", {}))


@pytest.fixture
def another_image(stage: Stage) -> Iterator[str]:
    """Remora's own image by another name, on all nodes: to the operator it is as one of another version."""
    other = "remora.dev/runtime:another"
    for node in stage.cluster.nodes:
        stage.cluster.node_exec(node, *CTR, "tag", "--force", programs.image(stage), other)
    yield other
    for node in stage.cluster.nodes:
        stage.cluster.node_exec(node, *CTR, "rm", other)


def test_another_image_comes_with_a_ray_cluster_of_its_own_and_takes_over(stage: Stage, another_image: str) -> None:
    stage.apply(speaker("one"))
    stage.wait_ready("speaker")
    first = status(stage)["ray"]["incarnation"]
    with stage.load("speaker", *LOAD) as load:
        stage.apply(speaker("two", image=another_image))
        eventually(lambda: len(stage.pods("speaker", "head")) == 2, 60, "a second head beside the first")
        assert stage.answer("speaker") == "one"
        eventually(lambda: stage.answer("speaker") == "two", 120, "the answer of the new one")
        eventually(lambda: len(stage.pods("speaker", "head")) == 1, 90, "one head")
        stage.wait_ready("speaker")
    report(load.report)
    assert status(stage)["ray"]["incarnation"] == first + 1
    pods = [*stage.pods("speaker", "head"), *stage.pods("speaker", "worker")]
    assert {it["image"] for pod in pods for it in pod["spec"]["containers"]} == {another_image}


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
