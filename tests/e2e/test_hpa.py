"""A real HorizontalPodAutoscaler on the scale subresource, on a metric that a small metrics API of the test serves."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e import programs
from tests.e2e.apps import application
from tests.e2e.stage import ROOT, Stage, eventually

pytestmark = pytest.mark.cluster

ECHO = """from ray import serve

@serve.deployment(ray_actor_options={"num_cpus": 0.1})
class Echo:
    def __call__(self):
        return "echo"

app = Echo.bind()
"""
SERVER = """import json, ssl, threading
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

value = {"now": "10"}


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.partition("?")[0].rstrip("/")
        if path.startswith("/set/"):
            value["now"] = path.removeprefix("/set/")
            return self.say({"value": value["now"]})
        if path.endswith("/v1beta1"):
            resource = {"name": "queue", "namespaced": True, "kind": "ExternalMetricValueList", "verbs": ["get"]}
            return self.say({"kind": "APIResourceList", "apiVersion": "v1",
                             "groupVersion": "external.metrics.k8s.io/v1beta1", "resources": [resource]})
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        item = {"metricName": "queue", "metricLabels": {}, "timestamp": now, "value": value["now"]}
        self.say({"kind": "ExternalMetricValueList", "apiVersion": "external.metrics.k8s.io/v1beta1",
                  "metadata": {}, "items": [item]})

    def say(self, found):
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


plain = ThreadingHTTPServer(("", 8080), Answer)
threading.Thread(target=plain.serve_forever, daemon=True).start()
secure = ThreadingHTTPServer(("", 8443), Answer)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/etc/metrics/tls.crt", "/etc/metrics/tls.key")
secure.socket = context.wrap_socket(secure.socket, server_side=True)
secure.serve_forever()
"""
API = "v1beta1.external.metrics.k8s.io"


@pytest.fixture
def metric(stage: Stage, tmp_path: Path) -> Iterator[Callable[[int], None]]:
    """A metrics API with one metric; gives the function that sets its value."""
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=metrics"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    files = {it.name: base64.b64encode(it.read_bytes()).decode() for it in (certificate, key)}
    stage.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "metrics"}, "data": files},
        programs.code("metrics", SERVER),
        programs.program(
            stage,
            "metrics",
            ["python", "/code/serve.py"],
            port=8443,
            volumes={
                "/code": {"configMap": {"name": "metrics"}},
                "/etc/metrics": {"secret": {"secretName": "metrics"}},
            },
        ),
        programs.service("metrics", 443, 8443),
    )
    stage.kubectl("wait", "pod/metrics", "--for=condition=Ready", "--timeout=60s")
    service = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": API},
        "spec": {
            "group": "external.metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {"name": "metrics", "namespace": stage.namespace},
        },
    }
    stage.apply(service)
    address = stage.get("pod", "metrics")["status"]["podIP"]

    def set_to(value: int) -> None:
        command = [sys.executable, "-m", "tests.load.ask", f"http://{address}:8080/set/{value}", "GET", "", "10"]
        subprocess.run(stage.cluster.command(*command), cwd=ROOT, check=True, capture_output=True)

    try:
        yield set_to
    finally:
        # Of the whole cluster, unlike all else: it would be in everybody's way.
        stage.kubectl("delete", "apiservice", API, "--ignore-not-found")


def test_an_hpa_moves_the_ingress_from_1_to_4_to_1(stage: Stage, metric: Callable[[int], None]) -> None:
    stage.apply(application("echo", "echo:app", code={"inline": {"echo.py": ECHO}}))
    stage.wait_ready("echo")
    stage.apply(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "echo"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "remora.dev/v1alpha1", "kind": "ServeApplication", "name": "echo"},
                "minReplicas": 1,
                "maxReplicas": 5,
                "metrics": [
                    {
                        "type": "External",
                        "external": {
                            "metric": {"name": "queue"},
                            "target": {"type": "AverageValue", "averageValue": "10"},
                        },
                    }
                ],
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
            },
        }
    )
    metric(40)
    eventually(lambda: _ready(stage) == (4, 4), 120, "four replicas")
    assert stage.get("hpa", "echo")["status"]["currentReplicas"] in (1, 4)
    assert stage.get("sapp", "echo")["status"]["selector"]
    with stage.load("echo", "--rate", "20", "--for", "120") as load:
        metric(10)
        eventually(lambda: _ready(stage) == (1, 1), 120, "one replica")
    assert load.report["failures"] == []


def _ready(stage: Stage) -> tuple[int, int]:
    (deployment,) = stage.get("sapp", "echo")["status"]["deployments"]
    return deployment["desired"], deployment["ready"]
