"""The example's manifest: valid, and its copy of the code is the code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from remora_api.v1alpha1 import ServeApplication

HELLO = Path(__file__).parents[2] / "examples" / "hello"


@pytest.fixture(scope="module")
def manifests() -> dict[str, dict[str, Any]]:
    documents = yaml.safe_load_all((HELLO / "serveapplication.yaml").read_text())
    return {document["kind"]: document for document in documents}


def test_the_config_map_holds_hello_py(manifests: dict[str, dict[str, Any]]) -> None:
    assert manifests["ConfigMap"]["data"] == {"hello.py": (HELLO / "hello.py").read_text()}


def test_the_manifest_is_valid_and_refers_to_the_config_map(manifests: dict[str, dict[str, Any]]) -> None:
    application = ServeApplication.from_manifest(manifests["ServeApplication"], strict=True)
    assert application.spec.import_path == "hello:app"
    assert application.spec.code is not None
    assert application.spec.code.config_map is not None
    assert application.spec.code.config_map.name == manifests["ConfigMap"]["metadata"]["name"]


def test_there_is_nothing_else_that_kubectl_would_apply() -> None:
    """`kubectl apply -f examples/hello` takes every YAML and JSON file in the directory."""
    assert [path.name for path in HELLO.iterdir() if path.suffix in (".yaml", ".yml", ".json")] == [
        "serveapplication.yaml"
    ]
