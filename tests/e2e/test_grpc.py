"""gRPC through the Service's own port, by grpcio's client, beside HTTP through the other."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.e2e.apps import application, deployment, source
from tests.e2e.stage import ROOT, Stage
from tests.load.call import CALLS

pytestmark = pytest.mark.cluster


def called(stage: Stage, name: str) -> dict[str, Any]:
    """Return what a client outside of the pods' network policies gets."""
    (service,) = stage.list("services", application=name, component="proxy")
    (port,) = (it for it in service["spec"]["ports"] if it["name"] == "grpc")
    address = f"{service['spec']['clusterIP']}:{port['port']}"
    command = stage.cluster.command(sys.executable, "-m", "tests.load.call", address)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_every_kind_of_call_is_answered_at_the_grpc_port_of_the_service(stage: Stage) -> None:
    grpc = {"port": 50051, "servicerFunctions": ["words:add_WordsServicer_to_server"]}
    resource = application(
        "words",
        "words:app",
        code={"inline": {"words.py": source("words")}},
        deployments=[deployment("Words", maxOngoingRequests=CALLS)],
        proxy={"replicas": 1, "grpc": grpc},
    )
    stage.apply(resource)
    stage.wait_ready("words")
    assert called(stage, "words") == {
        "Upper": sorted(f"W{n}" for n in range(CALLS)),
        "Split": ["a", "b", "c"],
        "Join": "a b c",
        "Echo": ["a", "b", "OK"],
        "Missing": "UNIMPLEMENTED",
    }
    assert stage.answer("words") == "words"
