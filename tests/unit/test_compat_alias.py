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
        "from ray import serve; assert serve.deployment.__module__ == 'remora.graph.deployment'",
        "import ray.serve; assert ray.serve.__name__ == 'remora.serve'",
        "import ray; from ray import serve; assert ray.serve is serve",
        "from ray.serve import deployment, Application, ingress",
        "from ray.serve.deployment import Application; from ray import serve; assert callable(serve.deployment)",
        "import ray.serve.deployment; from ray import serve; assert callable(serve.deployment)",
        "from ray.serve.handle import DeploymentHandle, DeploymentResponse, RayServeHandle",
        "from ray.serve.exceptions import BackPressureError, RayServeException",
        "from ray.serve.config import AutoscalingConfig; assert AutoscalingConfig(min_replicas=1).min_replicas == 1",
        "from ray.serve.dag import InputNode; from ray.serve.drivers import DAGDriver",
        "from ray.serve.context import ReplicaContext",
        "from remora import serve as a; from ray import serve as b; assert a is b",
    ],
)
def test_programs_written_for_ray_serve_import_remora(code: str) -> None:
    check = "\nimport sys; print([m for m in sys.modules if m.startswith('ray.serve._private')] or 'fine')"
    assert run(code + check).strip() == "fine"


def test_what_remora_has_not_is_said() -> None:
    assert "Remora has nothing for ray.serve.llm yet" in run("import ray.serve.llm")
    assert "InputNode is not supported yet" in run("from ray.serve.dag import InputNode; InputNode()")
    assert "DAGDriver is not supported yet" in run("from ray.serve.drivers import DAGDriver; DAGDriver.bind(1)")


def test_importing_serve_is_light() -> None:
    heavy = "'ray', 'starlette', 'fastapi', 'pydantic', 'uvicorn', 'numpy'"
    code = f"from remora import serve; import sys; print([m for m in ({heavy}) if m in sys.modules] or 'light')"
    assert run(code, alias=False).strip() == "light"
