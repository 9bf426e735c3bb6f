"""Rollouts of every kind, one after the other, under load that counts every request; the suite and the soak share it.

Each kind runs `times` rollouts of one application of two replicas, at 100 requests a second on kept connections, with
streams and requests of 30 seconds beside them. Pods are counted from a watch, as a poll would miss the peak.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.apps import application, deployment
from tests.e2e.stage import Stage, eventually

LOAD = ("--rate", "100", "--connections", "8", "--timeout", "60")
LONG = ("--streams", "SERVICE/stream?seconds=30", "--slow", "SERVICE/slow?seconds=30")
NAME = "rolling"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of change, and how to tell that its rollout has ended."""

    name: str
    change: Callable[[int], dict[str, Any]]
    """Spec of the n-th rollout, to be laid over the base."""
    ends: str = "Serving"
    """Reason of Ready at the end."""


@dataclass(slots=True)
class Result:
    """What came of one kind."""

    kind: str
    rollouts: int = 0
    requests: int = 0
    failures: list[str] = field(default_factory=list)
    failed: int = 0
    long: int = 0
    peak_pods: int = 0
    seconds: list[float] = field(default_factory=list)
    p99_ms: float = 0.0

    def row(self) -> str:
        """Return a line of a Markdown table."""
        ordered = sorted(self.seconds) or [0.0]
        middle = ordered[len(ordered) // 2]
        return (
            f"| {self.kind} | {self.rollouts} | {self.requests:,} | {self.long} | {self.failed} | {self.peak_pods} "
            f"| {middle:.0f} / {ordered[-1]:.0f} | {self.p99_ms:.0f} |"
        )


HEADER = (
    "| kind | rollouts | requests | of 30 s | failures | most worker pods | seconds (median / longest) | p99 ms |\n"
    "|---|---|---|---|---|---|---|---|"
)

CANARY = {
    "strategy": "Canary",
    "canary": {"steps": [{"weight": 10, "pauseSeconds": 2}, {"weight": 50, "pauseSeconds": 2}]},
}
BLUE_GREEN = {"strategy": "BlueGreen", "blueGreen": {"autoPromoteSeconds": 1}}


def code(number: int) -> dict[str, Any]:
    """Return code that says its number, streams, and takes its time."""
    text = f'''import asyncio

from ray import serve
from starlette.responses import StreamingResponse


@serve.deployment
class Rolling:
    async def __call__(self, request):
        seconds = float(request.query_params.get("seconds", 0))
        if request.url.path.endswith("/stream"):
            return StreamingResponse(self.tick(seconds), media_type="text/plain")
        await asyncio.sleep(seconds)
        return "{number}"

    async def tick(self, seconds):
        for index in range(int(seconds * 10)):
            yield f"{{index}}\\n"
            await asyncio.sleep(0.1)


app = Rolling.bind()
'''
    return {"code": {"inline": {"rolling.py": text}}}


def small(cpu: str = "100m") -> dict[str, Any]:
    """Return the deployment: two replicas, each in a pod of its own."""
    entry = deployment("Rolling", replicas=2, maxOngoingRequests=100, gracefulShutdownTimeoutSeconds=60)
    return entry | {"resources": {"cpu": cpu, "memory": "200Mi"}}


KINDS = (
    Kind("code", code),
    Kind("resources of one deployment", lambda n: {"deployments": [small(f"{100 + n % 2}m")]}),
    Kind("environment: new worker pods", lambda n: {"env": [{"name": "N", "value": str(n)}]}),
    Kind(
        "head: a second Ray cluster",
        lambda n: {"head": {"resources": {"cpu": f"{500 + n % 7}m", "memory": "2Gi"}}},
    ),
    Kind("canary", lambda n: code(n) | {"rollout": CANARY}),
    Kind("blue/green", lambda n: code(n) | {"rollout": BLUE_GREEN}),
    Kind(
        "taken back: code that raises", lambda n: {"args": {"no": n}, "importPath": "rolling:none"}, ends="RolledBack"
    ),
)


def base() -> dict[str, Any]:
    """Return the application before the first rollout: pods so small that each holds one replica."""
    workers = [{"name": "default", "minReplicas": 1, "maxReplicas": 4, "resources": {"cpu": "150m", "memory": "800Mi"}}]
    return application(NAME, "rolling:app", deployments=[small()], workers=workers, **code(0))


def roll(stage: Stage, kinds: Sequence[Kind], times: int) -> Iterator[Result]:
    """Run the rollouts; one result a kind."""
    stage.apply(base())
    stage.wait_ready(NAME)
    number = 0
    for kind in kinds:
        result = Result(kind.name)
        stage.apply(base())
        _ended(stage, "Serving")
        with _watched(stage) as pods, stage.load(NAME, *LOAD, "--for", "100000", *LONG) as load:
            for _ in range(times):
                number += 1
                began = time.monotonic()
                manifest = base()
                manifest["spec"] |= kind.change(number)
                stage.apply(manifest)
                _ended(stage, kind.ends)
                result.seconds.append(time.monotonic() - began)
                result.rollouts += 1
                if kind.ends != "Serving":
                    stage.apply(base())
                    _ended(stage, "Serving")
        report = load.report
        result.requests, result.failed, result.failures = report["requests"], report["failed"], report["failures"]
        result.long, result.p99_ms = report["streams"], report["p99_ms"]
        result.peak_pods = pods.peak
        yield result


def _ended(stage: Stage, reason: str) -> None:
    def said() -> bool:
        resource = stage.get("sapp", NAME)
        ready = next((it for it in resource.get("status", {}).get("conditions", []) if it["type"] == "Ready"), {})
        return (ready.get("reason"), ready.get("observedGeneration")) == (reason, resource["metadata"]["generation"])

    eventually(said, 240, f"{NAME} {reason}")


@dataclass(slots=True)
class Pods:
    """Worker pods that are there, from a watch."""

    active: set[str] = field(default_factory=set)
    peak: int = 0

    def saw(self, event: dict[str, Any]) -> None:
        """Take in one event."""
        pod = event["object"]
        name = pod["metadata"]["name"]
        gone = event["type"] == "DELETED" or "deletionTimestamp" in pod["metadata"]
        self.active.discard(name) if gone else self.active.add(name)
        self.peak = max(self.peak, len(self.active))


@contextmanager
def _watched(stage: Stage) -> Iterator[Pods]:
    """Count worker pods while the context is entered."""
    pods = Pods()
    labels = f"remora.dev/application={NAME},remora.dev/component=worker"
    words = ("-n", stage.namespace, "get", "pods", "-l", labels, "--watch", "--output-watch-events", "-o", "json")
    process = subprocess.Popen(stage.cluster.kubectl_argv(*words), stdout=subprocess.PIPE, text=True)

    def read() -> None:
        assert process.stdout is not None
        decoder, text = json.JSONDecoder(), ""
        for line in process.stdout:
            text += line
            if line.rstrip() == "}":
                event, _ = decoder.raw_decode(text)
                pods.saw(event)
                text = ""

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield pods
    finally:
        process.terminate()
        process.wait()
        thread.join(5)
