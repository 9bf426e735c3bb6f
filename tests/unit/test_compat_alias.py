"""The import alias, in a fresh process: `from ray import serve` is Remora, and Ray Serve stays out."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run(code: str, *, alias: bool = True) -> str:
    install = "from remora.compat import alias; alias.install()\n" if alias else ""
    done = subprocess.run([sys.executable, "-c", install + code], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "code",
    [
        "from ray import serve; import ray; assert ray.serve is serve; assert serve.__name__ == 'remora.serve'",
        "import ray.serve; from remora import serve; assert ray.serve is serve",
        "from ray.serve.deployment import Application; from ray import serve; assert callable(serve.deployment)",
        "import ray.serve.deployment; from ray import serve; assert callable(serve.deployment)",
        "from ray.serve.dag import InputNode\n"
        "from ray.serve.deployment_graph import InputNode as Same; assert Same is InputNode\n"
        "import ray.serve.http_adapters; from ray.serve.http_adapters import json_request\n"
        "from ray.serve import http_adapters; assert http_adapters.json_request is json_request\n"
        "from ray.serve import deployment, Application, ingress\n"
        "from ray.serve.drivers import DAGDriver\n"
        "from ray.serve.context import ReplicaContext\n"
        "from ray.serve.handle import DeploymentHandle, DeploymentResponse, RayServeHandle\n"
        "import starlette; starlette.requests.Request\n"
        "from ray.serve.exceptions import BackPressureError, RayServeException\n"
        "from ray.serve.config import AutoscalingConfig; assert AutoscalingConfig(min_replicas=1).min_replicas == 1",
    ],
    ids=["from", "import", "submodule first", "submodule imported", "names"],
)
def test_programs_written_for_ray_serve_import_remora(code: str) -> None:
    check = "\nimport sys; print([m for m in sys.modules if m.startswith('ray.serve._private')] or 'fine')"
    assert run(code + check).strip() == "fine"


def test_what_remora_has_not_is_said() -> None:
    said = run(
        "import importlib\nfrom ray import serve\n"
        "for attempt in (lambda: importlib.import_module('ray.serve.llm'), lambda: serve.schema.DeploymentDetails)"
        ":\n"
        "    try: attempt()\n"
        "    except Exception as error: print(error)"
    )
    assert said.splitlines() == [
        "Remora has nothing for ray.serve.llm yet: docs/reference/compatibility.md says why",
        "ray.serve.schema.DeploymentDetails is not supported by Remora yet: docs/reference/compatibility.md says why",
    ]


def test_importing_serve_is_light() -> None:
    heavy = "'ray', 'starlette', 'fastapi', 'pydantic', 'uvicorn', 'numpy'"
    code = f"from remora import serve; import sys; print([m for m in ({heavy}) if m in sys.modules] or 'light')"
    assert run(code, alias=False).strip() == "light"
