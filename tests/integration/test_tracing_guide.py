"""The guide to tracing: its files are written out as they stand there, and `remora run` serves them with real Ray."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.integration.test_local import ROOT, remora, until_served
from tests.integration.test_local import ask as ask_at
from tests.ports import free_port

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="pip install 'remora[otlp]'")
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

pytestmark = pytest.mark.ray
TREE = [
    "proxy_http_request Front GET /",
    "route_to_replica Front __call__",
    "replica_handle_request Front __call__",
    "route_to_replica Names __call__",
    "replica_handle_request Names __call__",
    "look up",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    text = (ROOT / "docs" / "guides" / "tracing.md").read_text()
    files = re.findall(r"^```(?:python|yaml)\n# (\S+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in files] == ["front.py", "spans.py", "config.yaml", "app.yaml"]
    for name, content in files:
        (tmp_path / name).write_text(content)
    return tmp_path


def names_from_the_root(parents: dict[str, tuple[str, str]]) -> list[str]:
    """The names along a tree without branches, of spans by id: parent's id and name."""
    children = {parent: (id, name) for id, (parent, name) in parents.items()}
    found, id = [], ""
    while id in children:
        id, name = children[id]
        found.append(name)
    return found


def test_spans_go_to_the_exporter_of_the_config_file(folder: Path) -> None:
    port = free_port()
    with remora("run", "config.yaml", "--port", str(port), cwd=folder) as process:
        until_served(process)
        assert ask_at(port, "/?name=ada") == (200, "Hello, Ada!")
    spans = [json.loads(line) for line in (folder / "spans.json").read_text().splitlines()]
    parents = {s["context"]["span_id"]: ((s["parent_id"] or "").removeprefix("0x"), s["name"]) for s in spans}
    assert names_from_the_root({id.removeprefix("0x"): found for id, found in parents.items()}) == TREE


def test_spans_go_to_the_collector_of_the_manifest(folder: Path) -> None:
    port = free_port()
    with collector() as (at, received):
        manifest = (folder / "app.yaml").read_text().replace("4318", str(at))
        (folder / "app.yaml").write_text(manifest)
        with remora("run", "app.yaml", "--port", str(port), cwd=folder) as process:
            until_served(process)
            assert ask_at(port, "/?name=ada") == (200, "Hello, Ada!")
        # All have ended, and sent the last of it before.
        parents: dict[str, tuple[str, str]] = {}
        services = set()
        for each in (resource for request in received for resource in request.resource_spans):
            services |= {it.value.string_value for it in each.resource.attributes if it.key == "service.name"}
            for span in (span for scope in each.scope_spans for span in scope.spans):
                parents[span.span_id.hex()] = span.parent_span_id.hex(), span.name
    assert names_from_the_root(parents) == TREE
    assert services == {"remora-proxy", "Front", "Names"}


PROGRAM = """
import ray
from front import app
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from ray import serve
from ray.serve.schema import TracingConfig
import spans

serve.start(
    http_options={"port": PORT},
    tracing_config=TracingConfig(enabled=True, exporter_import_path="spans:exporter", sampling_ratio=1),
)
serve.run(app)
# After Remora's: the program's own OpenTelemetry is its own.
provider = TracerProvider()
provider.add_span_processor(spans.exporter()[0])
trace.set_tracer_provider(provider)
names = serve.get_deployment_handle("Names", "default")
with trace.get_tracer("mine").start_as_current_span("of the program"):
    print("the program:", names.remote("ada").result())


@ray.remote
def task(names):
    return names.remote("bob").result()


print("the task:", ray.get(task.remote(names)))
"""


def test_calls_of_a_program_and_of_a_task_of_ray_have_spans_below_its_own(folder: Path) -> None:
    (folder / "program.py").write_text(PROGRAM.replace("PORT", str(free_port())))
    with remora("exec", "program.py", cwd=folder) as process:
        printed, _ = process.communicate(timeout=90)
    assert "the program: Ada" in printed, printed
    assert "the task: Bob" in printed, printed
    spans = [json.loads(line) for line in (folder / "spans.json").read_text().splitlines()]
    trees: dict[str, dict[str, tuple[str, str]]] = {}
    for span in spans:
        found = span["context"]["span_id"].removeprefix("0x"), (span["parent_id"] or "").removeprefix("0x")
        trees.setdefault(span["context"]["trace_id"], {})[found[0]] = found[1], span["name"]
    call = ["route_to_replica Names __call__", "replica_handle_request Names __call__", "look up"]
    assert sorted(map(names_from_the_root, trees.values())) == [["of the program", *call], call]
    assert {s["resource"]["attributes"]["service.name"] for s in spans if s["name"] == call[0]} == {"remora-program"}


@contextmanager
def collector() -> Iterator[tuple[int, list[ExportTraceServiceRequest]]]:
    """A port that takes spans by OTLP, and what it was sent."""
    received: list[ExportTraceServiceRequest] = []

    class Takes(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                import gzip

                body = gzip.decompress(body)
            received.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Takes)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1], received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
