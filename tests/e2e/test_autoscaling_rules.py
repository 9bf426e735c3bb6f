"""What else says how many replicas there are, seen with traffic: Prometheus, a schedule, panic, one policy for all."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e import programs
from tests.e2e.apps import application, deployment
from tests.e2e.stage import ROOT, Stage, eventually
from tests.e2e.test_autoscaling import notes

pytestmark = pytest.mark.cluster

CODE = """import asyncio
from ray import serve


def together(contexts, at_most):
    front = next(id for id in contexts if id.name == "Front")
    asked = contexts[front].total_num_requests
    return dict.fromkeys(contexts, at_most if asked > 2 else 1)


@serve.deployment(max_ongoing_requests=100)
class Back:
    async def __call__(self):
        await asyncio.sleep(0.2)
        return "done"


@serve.deployment(max_ongoing_requests=100)
class Front:
    def __init__(self, back):
        self.back = back

    async def __call__(self):
        return await self.back.remote()


app = Front.bind(Back.bind())
"""
PROMETHEUS = """import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

value = {"now": "10"}


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        asked = urlsplit(self.path)
        if asked.path.startswith("/set/"):
            value["now"] = asked.path.removeprefix("/set/")
        # Only the query that the resource has, at the path that Prometheus has.
        right = asked.path == "/api/v1/query" and parse_qs(asked.query).get("query") == ["sum(queue_length)"]
        series = [{"metric": {}, "value": [1.0, value["now"]]}] if right else []
        said = {"status": "success", "data": {"resultType": "vector", "result": series}}
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("", 9090), Answer).serve_forever()
"""
SMALL = {"resources": {"cpu": "100m", "memory": "200Mi"}}
AT_ONCE = {"lookBackPeriodSeconds": 2, "upscaleDelaySeconds": 0, "downscaleDelaySeconds": 2}
LOAD = ("--rate", "40", "--connections", "16", "--for", "400")
LITTLE = ("--rate", "5", "--connections", "2", "--for", "400")


def front(*, back: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """Return a front of one replica with a deployment behind it, which is autoscaled in this way."""
    scaled = {"autoscaling": back} if back else {}
    deployments = spec.pop("deployments", [deployment("Front"), deployment("Back", **scaled)])
    return application("front", "front:app", code={"inline": {"front.py": CODE}}, deployments=deployments, **spec)


def of(stage: Stage, name: str = "Back") -> dict[str, Any]:
    """Return what the status says of a deployment."""
    found = stage.get("sapp", "front").get("status", {}).get("deployments", [])
    return next((it for it in found if it["name"] == name), {})


def is_at(stage: Stage, replicas: int, name: str = "Back") -> bool:
    said = of(stage, name)
    return (said.get("desired"), said.get("ready")) == (replicas, replicas)


def test_replicas_follow_a_query_of_prometheus_and_stay_while_it_is_away(stage: Stage) -> None:
    volumes = {"/code": {"configMap": {"name": "prometheus"}}}
    stage.apply(
        programs.code("prometheus", PROMETHEUS),
        programs.program(stage, "prometheus", ["python", "/code/serve.py"], port=9090, volumes=volumes),
        programs.service("prometheus", 9090, 9090),
    )
    stage.kubectl("wait", "pod/prometheus", "--for=condition=Ready", "--timeout=60s")
    address = stage.get("pod", "prometheus")["status"]["podIP"]

    def set_to(value: int) -> None:
        command = [sys.executable, "-m", "tests.load.ask", f"http://{address}:9090/set/{value}", "GET", "", "10"]
        subprocess.run(stage.cluster.command(*command), cwd=ROOT, check=True, capture_output=True)

    args = {"url": "http://prometheus:9090", "query": "sum(queue_length)", "per_replica": 10, "timeout_s": 5}
    policy = {"importPath": "remora.policies:prometheus", "args": args}
    stage.apply(front(back={"minReplicas": 1, "maxReplicas": 4, "policy": policy, **AT_ONCE}))
    stage.wait_ready("front")
    with stage.load("front", *LITTLE) as load:
        set_to(31)
        eventually(lambda: is_at(stage, 4), 90, "four replicas, of ten each")
        assert "remora.policies:prometheus says 4" in of(stage)["reason"]
        stage.kubectl("delete", "pod", "prometheus", "--grace-period=0", "--force")
        eventually(lambda: "http://prometheus:9090" in of(stage)["reason"], 60, "the reason")
        assert of(stage)["desired"] == 4, "nothing changes by what is not known"
        assert notes(stage, "AutoscalingPolicy")
        stage.apply(programs.program(stage, "prometheus", ["python", "/code/serve.py"], port=9090, volumes=volumes))
        # It begins with 10.
        eventually(lambda: is_at(stage, 1), 120, "one replica, once it answers again")
    assert load.report["failures"] == []


def test_a_schedule_raises_the_least_and_its_end_lowers_it(stage: Stage) -> None:
    limits = {"minReplicas": 1, "maxReplicas": 4, **AT_ONCE}
    stage.apply(front(back=limits))
    stage.wait_ready("front")
    assert is_at(stage, 1)
    with stage.load("front", *LITTLE) as load:
        begins = datetime.now(UTC) + timedelta(minutes=1)
        start, end = (f"{at.minute} {at.hour} * * *" for at in (begins, begins + timedelta(minutes=1)))
        stage.apply(
            front(back=limits | {"schedules": [{"name": "rush", "start": start, "end": end, "minReplicas": 3}]})
        )
        eventually(lambda: is_at(stage, 3), 120, "three by the schedule")
        assert "schedule rush has minReplicas 3" in of(stage)["reason"]
        assert datetime.now(UTC) >= begins.replace(second=0), "not before it begins"
        eventually(lambda: is_at(stage, 1), 150, "one after its end")
    assert load.report["failures"] == []
    assert any("schedule rush" in it for it in notes(stage, "Autoscaled"))


def test_a_sudden_rise_is_answered_without_the_delay(stage: Stage) -> None:
    limits = {
        "minReplicas": 1,
        "maxReplicas": 3,
        "targetOngoingRequests": 2,
        "lookBackPeriodSeconds": 10,
        "upscaleDelaySeconds": 3600,
        "panicWindowSeconds": 2,
        "panicThresholdPercent": 200,
    }
    stage.apply(front(back=limits | {"panicThresholdPercent": 0}))
    stage.wait_ready("front")
    # Some eight at a time, at two per replica.
    with stage.load("front", *LOAD) as load:
        eventually(lambda: requests(stage) > 4, 30, "a load")
        assert of(stage)["desired"] == 1, "without panic the delay of an hour holds"
        stage.apply(front(back=limits))
        eventually(lambda: is_at(stage, 3), 60, "three replicas")
        assert "suddenly" in of(stage)["reason"]
    assert load.report["failures"] == []


def requests(stage: Stage) -> float:
    """Return the requests that autoscaling counts, as the controller's metrics show them."""
    url = "f'http://{os.environ[\"POD_IP\"]}:8070/metrics'"
    asked = f"import os, urllib.request as u; print(u.urlopen({url}).read().decode())"
    said = stage.kubectl("exec", "front-head-1-0", "-c", "controller", "--", "python", "-c", asked, check=False)
    lines = [it for it in said.splitlines() if it.startswith("remora_autoscaling_requests{") and '"Back"' in it]
    return sum(float(it.rpartition(" ")[2]) for it in lines)


def test_one_policy_decides_for_all_deployments_by_their_load(stage: Stage) -> None:
    limits = {"minReplicas": 1, "maxReplicas": 3, **AT_ONCE}
    stage.apply(
        front(
            deployments=[deployment(it, autoscaling=limits) for it in ("Front", "Back")],
            autoscalingPolicy={"importPath": "front:together", "args": {"at_most": 2}},
        )
    )
    stage.wait_ready("front")
    with stage.load("front", *LOAD) as load:
        eventually(lambda: is_at(stage, 2, "Front") and is_at(stage, 2), 90, "two of both")
        assert "the application's policy front:together says 2" in of(stage)["reason"]
    assert load.report["failures"] == []
    with stage.load("front", "--rate", "1", "--connections", "1", "--for", "400") as load:
        eventually(lambda: is_at(stage, 1, "Front") and is_at(stage, 1), 90, "one of both")
    assert load.report["failures"] == []
