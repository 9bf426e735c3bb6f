"""Replicas and pods that follow the load, `kubectl scale`, and applications at zero that a request wakes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from tests.e2e.apps import application, deployment
from tests.e2e.stage import Stage, eventually

pytestmark = pytest.mark.cluster

SLOW = """import asyncio
from ray import serve

@serve.deployment(max_ongoing_requests=10)
class Slow:
    async def __call__(self):
        await asyncio.sleep(0.2)
        return "done"

app = Slow.bind()
"""
LIMITS = {
    "minReplicas": 1,
    "maxReplicas": 4,
    "targetOngoingRequests": 2,
    "lookBackPeriodSeconds": 4,
    "upscaleDelaySeconds": 2,
    "downscaleDelaySeconds": 4,
}
WORKERS = [{"name": "default", "minReplicas": 0, "maxReplicas": 3, "resources": {"cpu": "500m", "memory": "1Gi"}}]


def slow(**spec: Any) -> dict[str, Any]:
    """Return an application of which two replicas fit on a worker pod."""
    return application("slow", "slow:app", code={"inline": {"slow.py": SLOW}}, workers=WORKERS, **spec)


def of(stage: Stage) -> dict[str, Any]:
    """Return what the status says of the deployment."""
    found = stage.get("sapp", "slow").get("status", {}).get("deployments", [])
    return next((it for it in found if it["name"] == "Slow"), {})


def is_at(stage: Stage, replicas: int, pods: int) -> bool:
    said = of(stage)
    return (said.get("desired"), said.get("ready")) == (replicas, replicas) and len(
        stage.pods("slow", "worker")
    ) == pods


def notes(stage: Stage, reason: str) -> list[str]:
    """Return the notes of the application's events."""
    events = json.loads(stage.kubectl("get", "events.events.k8s.io", "-o", "json"))["items"]
    return [it["note"] for it in events if it["reason"] == reason]


def test_load_raises_replicas_and_worker_pods_and_its_end_lowers_them(stage: Stage) -> None:
    limits = deployment("Slow", autoscaling=LIMITS) | {"resources": {"cpu": "250m", "memory": "200Mi"}}
    resource = slow(deployments=[limits])
    stage.apply(resource)
    stage.wait_ready("slow")
    assert is_at(stage, 1, 1)
    generation = stage.get("sapp", "slow")["metadata"]["generation"]

    with stage.load("slow", "--rate", "50", "--connections", "20", "--for", "120") as load:
        eventually(lambda: is_at(stage, 4, 2), 100, "four replicas on two pods")
        nodes = {pod["spec"]["nodeName"] for pod in stage.pods("slow", "worker")}
        assert len(nodes) == 2, "spread"
        assert "2 per replica are right" in of(stage)["reason"]
        assert stage.is_current("slow"), "growing is no reason not to be Ready"
    assert load.report["failures"] == []
    with stage.load("slow", "--rate", "4", "--connections", "2", "--for", "120") as load:
        eventually(lambda: is_at(stage, 1, 1), 100, "one replica on one pod")
    assert load.report["failures"] == []

    assert any("autoscaled from 1 to " in note for note in notes(stage, "Autoscaled"))
    assert " to 1: " in of(stage)["reason"]
    # `kubectl diff` fails when there is a difference.
    stage.kubectl("diff", "-f", "-", input=json.dumps(resource))
    assert stage.get("sapp", "slow")["metadata"]["generation"] == generation


def test_kubectl_scale_sets_the_ingress_unless_something_else_does(stage: Stage) -> None:
    small = {"name": "Slow", "resources": {"cpu": "100m", "memory": "200Mi"}}
    code = {"inline": {"slow.py": SLOW.replace("deployment(", "deployment(num_replicas=2, ")}}
    unscaled = slow(deployments=[small])
    stage.apply(unscaled | {"spec": unscaled["spec"] | {"code": code}})
    stage.wait_ready("slow")
    assert (of(stage)["desired"], of(stage)["reason"]) == (2, "num_replicas in the code")
    assert stage.get("sapp", "slow")["spec"]["replicas"] == 1, "the default, for the scale subresource"
    stage.kubectl("scale", "sapp/slow", "--replicas=3")
    eventually(lambda: is_at(stage, 3, 2), 90, "three replicas")
    # One more is there for a moment while replicas are spread.
    eventually(lambda: _scale(stage)["status"]["replicas"] == 3, 30, "three on the scale subresource")
    scale = _scale(stage)
    assert len(stage.kubectl("get", "pods", "-l", scale["status"]["selector"], "-o", "name").split()) == 2
    assert of(stage)["reason"] == "spec.replicas"
    stage.kubectl("scale", "sapp/slow", "--replicas=1")
    eventually(lambda: of(stage).get("desired") == 1, 30, "one, as somebody asked for it")
    stage.kubectl("scale", "sapp/slow", "--replicas=3")

    stage.kubectl(
        "patch", "sapp/slow", "--type=merge", "-p", json.dumps({"spec": {"deployments": [small | {"replicas": 1}]}})
    )
    eventually(lambda: of(stage).get("desired") == 1, 30, "the number in deployments")
    ignored = eventually(lambda: notes(stage, "ReplicasIgnored"), 30, "the event")
    assert "spec.replicas 3 is not followed: spec.deployments gives Slow 1 replicas" in ignored[0]


CONSTRUCTED_S = 8
"""For so long the constructor takes: time in which a proxy is replaced while it holds requests."""


@pytest.mark.parametrize("head", ["Keep", "Zero"])
def test_a_hundred_first_requests_at_zero_are_all_answered(stage: Stage, head: str) -> None:
    small = {"name": "Slow", "resources": {"cpu": "100m", "memory": "200Mi"}}
    constructor = (
        f"    def __init__(self):\n        __import__('time').sleep({CONSTRUCTED_S})\n\n    async def __call__"
    )
    code = {"inline": {"slow.py": SLOW.replace("    async def __call__", constructor)}}
    zero = {"idleSeconds": 5, "head": head}
    resource = application(
        "slow",
        "slow:app",
        code=code,
        workers=WORKERS,
        deployments=[small],
        scaleToZero=zero,
        proxy={"replicas": 2, "resources": {"cpu": "100m", "memory": "256Mi"}},
    )
    stage.apply(resource)
    stage.wait_ready("slow")
    eventually(lambda: stage.get("sapp", "slow")["status"].get("asleepSince"), 60, "asleep")
    gone = ("worker", "head") if head == "Zero" else ("worker",)
    eventually(lambda: not any(stage.list("pods", application="slow", component=it) for it in gone), 90, "no pods")
    assert stage.condition("slow", "Ready")["reason"] == "Asleep"
    assert stage.condition("slow", "Available")["status"] == "True"
    proxies = _names(stage, "proxy")
    assert len(proxies) == 2

    asked = datetime.now(UTC)
    with stage.load("slow", "--rate", "1000", "--connections", "100", "--for", "1", "--timeout", "110") as load:
        # The Deployment replaces the proxies, one after the other, while both keep requests.
        stage.kubectl("rollout", "restart", "deployment/slow-proxy")
        eventually(lambda: not stage.get("sapp", "slow")["status"].get("asleepSince"), 30, "awake")
        eventually(lambda: proxies - _names(stage, "proxy"), 60, "a proxy that leaves")
        assert not of(stage).get("ready"), "it leaves while it keeps requests"
        eventually(lambda: of(stage).get("ready"), 100, "a replica")
        ready = datetime.now(UTC)
        load.stop()
    assert load.report["failures"] == []
    assert load.report["requests"] >= 100
    parts = _parts(stage, asked, load.report)
    seen = {"replica ready in the status": round((ready - asked).total_seconds(), 1)}
    print(f"\nhead: {head}: seconds from the first request: {json.dumps(parts | seen)}")
    # Kubernetes counts whole seconds.
    assert all(before <= after + 1 for before, after in pairwise(parts.values())), "one after the other"
    stage.wait_ready("slow")


def _names(stage: Stage, component: str) -> set[str]:
    return {it["metadata"]["name"] for it in stage.pods("slow", component)}


def _parts(stage: Stage, asked: datetime, report: dict[str, Any]) -> dict[str, float]:
    """Return when the steps to the first answer were done, in seconds from the first request."""
    pod = max(stage.pods("slow", "worker"), key=lambda it: str(it["metadata"]["creationTimestamp"]))
    name = pod["metadata"]["name"]
    conditions = {it["type"]: _time(it["lastTransitionTime"]) for it in pod["status"]["conditions"]}
    (head,) = stage.pods("slow", "head")
    log = stage.kubectl("logs", head["metadata"]["name"], "-c", "controller", "--timestamps").splitlines()
    starting = [_time(line.split()[0]) for line in log if "starting on" in line and name in line]
    assert starting, "the controller has logged on which pod it starts a replica"
    steps = {
        "pod created": _time(pod["metadata"]["creationTimestamp"]),
        "scheduled": conditions["PodScheduled"],
        "container started": _time(pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]),
        "joined, replica starting": starting[-1],
    }
    done = {step: round((at - asked).total_seconds(), 1) for step, at in steps.items()}
    return done | {
        f"replica ready and first answer (constructor: {CONSTRUCTED_S})": report["shortest_ms"] / 1000,
        "last of the first requests answered": report["longest_ms"] / 1000,
    }


def _time(text: str) -> datetime:
    # Kubernetes writes nanoseconds where Python reads microseconds.
    head, dot, rest = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{head}{dot}{rest[:6]}+00:00")


def _scale(stage: Stage) -> dict[str, Any]:
    """Return the scale subresource."""
    path = f"/apis/remora.dev/v1alpha1/namespaces/{stage.namespace}/serveapplications/slow/scale"
    found: dict[str, Any] = json.loads(stage.kubectl("get", "--raw", path))
    return found
