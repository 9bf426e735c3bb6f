"""Spans of requests, by the exporter of a program's own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import free_port
from ray import serve

HERE = Path(__file__).parent


class Told:
    def __init__(self, answers, spans):
        self.answers = answers
        self.spans = spans

    def of(self, number):
        """The spans of one request, by name."""
        ours = [span for span in self.spans if int(span["context"]["trace_id"], 16) == number]
        return {span["name"]: span for span in ours}

    def parent(self, number, name):
        """The name of a span's parent, or the id of the client's."""
        spans = self.of(number)
        id = spans[name]["parent_id"]
        return next((other["name"] for other in spans.values() if other["context"]["span_id"] == id), int(id, 16))


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    file = tmp_path_factory.mktemp("spans") / "spans.jsonl"
    paths = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    tracing = {
        "RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH": "traced_program:exporter",
        "RAY_SERVE_TRACING_SAMPLING_RATIO": "1",
    }
    env = {**os.environ, **tracing, "SPANS_FILE": str(file), "PYTHONPATH": paths}
    env.pop("RAY_ADDRESS", None)
    done = subprocess.run(
        [sys.executable, str(HERE / "traced_program.py"), str(free_port())],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    # Ray prints there, too.
    answers = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("[[")))
    return Told(answers, [json.loads(line) for line in file.read_text().splitlines()])


def test_requests_are_answered_as_without_tracing(told):
    assert told.answers == [[200, "HI"], [500, "Internal Server Error"], [200, "ab"], [200, "Batch"]]


def test_a_request_is_one_tree_from_the_clients_span_to_those_of_user_code(told):
    chain = [
        "in a thread",
        "replica_handle_request Leaf __call__",
        "route_to_replica Leaf __call__",
        "of the ingress",
        "replica_handle_request Ingress __call__",
        "route_to_replica Ingress __call__",
        "proxy_http_request Ingress GET /words",
    ]
    assert set(told.of(1)) == set(chain)
    assert [told.parent(1, name) for name in chain] == [*chain[1:], 1]


def test_the_span_of_the_proxy_says_what_was_asked_and_answered(told):
    found = told.of(1)["proxy_http_request Ingress GET /words"]
    assert found["kind"] == "SpanKind.SERVER"
    assert found["status"]["status_code"] == "OK"
    expected = {
        "request_id": "r-1",
        "deployment": "Ingress",
        "app": "traced",
        "request_type": "http",
        "request_method": "GET",
        "request_route_path": "/words",
        "http.method": "GET",
        "http.status_code": 200,
        "http.route": "/words",
        "resource.name": "proxy_http_request Ingress GET /words",
    }
    assert found["attributes"] == expected


def test_the_spans_of_calls_and_replicas_say_whose_they_are(told):
    called, made = told.of(1)["route_to_replica Leaf __call__"], told.of(1)["replica_handle_request Leaf __call__"]
    common = {"request_id": "r-1", "deployment": "Leaf", "app": "traced", "call_method": "__call__"}
    common |= {"multiplexed_model_id": "", "is_streaming": False, "rpc.service": "Leaf"}
    assert called["attributes"].items() >= (common | {"is_http_request": False, "is_grpc_request": False}).items()
    assert made["attributes"].items() >= common.items()
    assert made["attributes"]["replica_id"]
    assert {called["attributes"]["route"], made["attributes"]["route"]} == {"/traced"}
    assert {called["kind"], made["kind"]} == {"SpanKind.SERVER"}


def test_what_user_code_raises_is_recorded_in_its_replicas_span(told):
    spans = told.of(2)
    (event,) = (it for it in spans["replica_handle_request Leaf __call__"]["events"] if it["name"] == "exception")
    assert event["attributes"]["exception.type"] == "ValueError"
    assert event["attributes"]["exception.message"] == "no such word"
    proxy = spans["proxy_http_request Ingress GET /words"]
    assert proxy["status"]["status_code"] == "ERROR"
    assert proxy["attributes"]["http.status_code"] == 500


def test_a_streaming_call_has_its_spans(told):
    assert told.parent(3, "replica_handle_request Leaf each") == "route_to_replica Leaf each"
    assert told.of(3)["replica_handle_request Leaf each"]["attributes"]["is_streaming"] is True


def test_a_batch_belongs_to_the_request_that_began_it(told):
    assert told.parent(4, "in a batch") == "replica_handle_request Leaf batched"


def test_what_the_client_did_not_sample_has_no_spans(told):
    assert told.of(99) == {}


def test_the_environment_gives_the_defaults_of_a_config():
    words = "f = TracingConfig(); print(f.enabled, f.exporter_import_path, f.sampling_ratio)"
    words = f"import conftest; from ray.serve.schema import TracingConfig; {words}"
    given = {"RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH": "mine:exporter", "RAY_SERVE_TRACING_SAMPLING_RATIO": "0.5"}
    env = {**os.environ, **given, "PYTHONPATH": str(HERE)}
    done = subprocess.run([sys.executable, "-c", words], env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["True", "mine:exporter", "0.5"], done.stderr


def test_there_is_no_trace_context_outside_of_requests(instance):
    assert serve.get_trace_context() is None
