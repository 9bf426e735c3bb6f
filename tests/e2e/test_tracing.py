"""Spans of a request in a cluster: from the proxy's pod and the workers' to a collector that the resource names."""

from __future__ import annotations

import json

import pytest

from tests.e2e import programs
from tests.e2e.apps import application, deployment
from tests.e2e.stage import Stage, eventually

pytestmark = pytest.mark.cluster

COLLECTOR = """
import gzip, json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

class Takes(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = {it.key: it.value.string_value for it in resource.resource.attributes}
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                print(json.dumps({
                    "trace": span.trace_id.hex(), "id": span.span_id.hex(), "parent": span.parent_span_id.hex(),
                    "name": span.name, "service": service.get("service.name"),
                    "namespace": service.get("service.namespace"),
                }), flush=True)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass

ThreadingHTTPServer(("", 4318), Takes).serve_forever()
"""
CODE = """from ray import serve

@serve.deployment
class Names:
    def __call__(self, name):
        return name.title()

@serve.deployment
class Front:
    def __init__(self, names):
        self.names = names

    async def __call__(self, request):
        return await self.names.remote("ada")

app = Front.bind(Names.bind())
"""
TREE = [
    ("remora-proxy", "proxy_http_request Front GET /"),
    ("remora-proxy", "route_to_replica Front __call__"),
    ("Front", "replica_handle_request Front __call__"),
    ("Front", "route_to_replica Names __call__"),
    ("Names", "replica_handle_request Names __call__"),
]


def test_the_spans_of_a_request_are_one_tree_at_the_collector(stage: Stage) -> None:
    command = ["python", "/code/serve.py"]
    volumes = {"/code": {"configMap": {"name": "collector"}}}
    stage.apply(
        programs.code("collector", COLLECTOR),
        programs.program(stage, "collector", command, port=4318, volumes=volumes),
        programs.service("collector", 4318, 4318),
        application(
            "front",
            "front:app",
            code={"inline": {"front.py": CODE}},
            deployments=[deployment("Front"), deployment("Names")],
            tracing={"endpoint": f"http://collector.{stage.namespace}:4318", "samplingRatePerMillion": 1_000_000},
        ),
    )
    stage.wait_ready("front")
    assert stage.answer("front") == "Ada"

    def traced() -> list[tuple[str, str]]:
        return max((tree(spans) for spans in by_trace(stage).values()), key=len, default=[])

    eventually(lambda: traced() == TREE, 60, "all spans of the request, each below the one before")
    services = {it["service"]: it["namespace"] for spans in by_trace(stage).values() for it in spans}
    assert services["Front"] == services["Names"] == "front"


def by_trace(stage: Stage) -> dict[str, list[dict[str, str]]]:
    """What the collector was sent, by trace."""
    found: dict[str, list[dict[str, str]]] = {}
    for line in stage.kubectl("logs", "collector").splitlines():
        span = json.loads(line)
        found.setdefault(span["trace"], []).append(span)
    return found


def tree(spans: list[dict[str, str]]) -> list[tuple[str, str]]:
    """Services and names of spans without branches, from the root."""
    children = {span["parent"]: span for span in spans}
    found, id = [], ""
    while id in children:
        span = children[id]
        found.append((span["service"], span["name"]))
        id = span["id"]
    return found
