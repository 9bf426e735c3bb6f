"""Every piece of YAML in the documentation is accepted as it stands there, whole or put where it belongs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from remora.serve_config import file, targets
from remora_api.meta import API_VERSION
from remora_api.v1alpha1 import ServeApplication
from remora_api.v1alpha1.spec import ServeApplicationSpec

ROOT = Path(__file__).parents[2]
IN_SPEC = {field.alias or name for name, field in ServeApplicationSpec.model_fields.items()}


def pieces() -> Iterator[Any]:
    for path in [
        ROOT / "README.md",
        *sorted((ROOT / "docs").rglob("*.md")),
        *sorted((ROOT / "examples").rglob("*.md")),
    ]:
        text = path.read_text()
        for found in re.finditer(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            line = text[: found.start()].count("\n") + 1
            yield pytest.param(found[1], id=f"{path.relative_to(ROOT)}:{line}")


def manifest(piece: dict[str, Any]) -> dict[str, Any]:
    """Return a whole manifest around a piece of one."""
    if "apiVersion" in piece:
        return piece
    if "policy" in piece:
        piece = {"autoscaling": {"maxReplicas": 2, **piece}}
    if "autoscaling" in piece:
        piece = {"deployments": [{"name": "Model", **piece}]}
    spec = piece.get("spec", piece)
    assert set(spec) <= IN_SPEC, "neither a spec nor a part of one that this test knows"
    return {
        "apiVersion": "remora.dev/v1alpha1",
        "kind": "ServeApplication",
        "metadata": {"name": "piece"},
        "spec": {"importPath": "app:app", **spec},
    }


@pytest.mark.parametrize("text", list(pieces()))
def test_yaml_of_the_documentation_is_accepted(text: str) -> None:
    (piece,) = yaml.safe_load_all(text)
    if file.is_config(piece):
        assert not list(targets.notes(file.read(piece)))
        return
    if piece.get("kind") == "HorizontalPodAutoscaler":
        # Kubernetes' own; whom it scales is ours.
        target = piece["spec"]["scaleTargetRef"]
        assert (target["apiVersion"], target["kind"]) == (API_VERSION, "ServeApplication")
        return
    ServeApplication.from_manifest(manifest(piece), strict=True)  # raises where something is wrong
