"""What `remora run` is given, as applications: a file of manifests, or an import path with arguments.

Pure but for reading the file. The same manifest serves in a cluster; what it refers to must stand in the same file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from remora.errors import RemoraError
from remora_api import wire
from remora_api.target import code_bundle, digest, revision_inputs, target_from
from remora_api.v1alpha1 import InvalidManifest, ServeApplication


class CannotRead(RemoraError):
    """What was given is no application; the message says where and why."""


@dataclass(frozen=True, slots=True)
class LocalApplication:
    """One application to serve."""

    target: wire.Target
    route_prefix: str
    env: Mapping[str, str]
    warnings: tuple[str, ...] = ()


def applications(
    subject: str, *, route_prefix: str | None = None, args: Mapping[str, Any] | None = None
) -> tuple[LocalApplication, ...]:
    """Return the applications in a file (its name ends in .yaml or .yml), or of an import path; raise CannotRead."""
    if subject.endswith((".yaml", ".yml")):
        documents = _documents(Path(subject))
    elif ":" in subject:
        documents = [_manifest(subject)]
    else:
        raise CannotRead(f"{subject!r} is neither a manifest (app.yaml) nor an import path (module:app)")
    config_maps = {_name(d): d.get("data") or {} for d in documents if d.get("kind") == "ConfigMap"}
    manifests = [d for d in documents if d.get("kind", "ServeApplication") == "ServeApplication"]
    if not manifests:
        raise CannotRead(f"{subject} holds no ServeApplication")
    return tuple(_application(_overlaid(m, route_prefix, args), config_maps) for m in manifests)


def _documents(path: Path) -> list[dict[str, Any]]:
    try:
        found = list(yaml.safe_load_all(path.read_text()))
    except OSError as error:
        raise CannotRead(f"{path} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise CannotRead(f"{path} is no YAML: {error}") from error
    return [document for document in found if isinstance(document, dict)]


def _manifest(import_path: str) -> dict[str, Any]:
    word = re.sub(r"[^a-z0-9]+", "-", import_path.partition(":")[0].rpartition(".")[2].lower()).strip("-")
    name = word if word[:1].isalpha() else f"app-{word}".strip("-")
    return {"metadata": {"name": name[:40].strip("-")}, "spec": {"importPath": import_path}}


def _overlaid(manifest: Mapping[str, Any], route_prefix: str | None, args: Mapping[str, Any] | None) -> dict[str, Any]:
    spec = dict(manifest.get("spec") or {})
    if route_prefix is not None:
        spec["routePrefix"] = route_prefix
    if args:
        spec["args"] = {**(spec.get("args") or {}), **args}
    return {**manifest, "spec": spec}


def _application(manifest: Mapping[str, Any], config_maps: Mapping[str, Mapping[str, str]]) -> LocalApplication:
    try:
        application = ServeApplication.from_manifest(manifest, strict=True)
    except InvalidManifest as error:
        raise CannotRead(str(error)) from error
    code = _code(application, config_maps)
    revision = f"{application.metadata.name}-{digest(revision_inputs(application, code))[:10]}"
    given = {v.name: v.value for v in application.spec.env if v.value is not None}
    elsewhere = [v.name for v in application.spec.env if v.value is None and v.name not in given]
    return LocalApplication(
        target_from(application, revision=revision, code=code),
        application.spec.route_prefix,
        given,
        tuple(_warnings(elsewhere, bool(application.spec.env_from))),
    )


def _code(application: ServeApplication, config_maps: Mapping[str, Mapping[str, str]]) -> wire.CodeBundle | None:
    code = application.spec.code
    if code is None:
        return None
    if code.inline is not None:
        return code_bundle(code.inline)
    assert code.config_map is not None
    name = code.config_map.name
    if name not in config_maps:
        raise CannotRead(
            f"spec.code.configMap names {name!r}, which is not in the file: add the ConfigMap, or use inline"
        )
    return code_bundle(config_maps[name])


def _warnings(elsewhere: Sequence[str], has_env_from: bool) -> Iterable[str]:
    for name in elsewhere:
        yield f"spec.env {name}: valueFrom has no meaning here; the value of this shell is used"
    if has_env_from:
        yield "spec.envFrom has no meaning here; variables of this shell are used"


def _name(document: Mapping[str, Any]) -> str:
    return str((document.get("metadata") or {}).get("name", ""))
