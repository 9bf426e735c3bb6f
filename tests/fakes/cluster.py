"""An API server in memory, as much of one as the operator needs. `test_operator_cluster` holds it, and the real one,
to the same contract.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from remora_operator.cluster import Listing
from remora_operator.errors import Permanent, Transient
from remora_operator.kinds import Kind, Manifest


class FakeCluster:
    """Implements `remora_operator.cluster.Cluster`."""

    def __init__(self) -> None:
        self.objects: dict[tuple[Kind, str, str], Manifest] = {}
        self.calls: list[str] = []
        """What was asked, as `verb Kind name`."""
        self.fails: set[str] = set()
        """Calls, as above, that are answered as by an API server that is down."""
        self._version = 0

    @property
    def writes(self) -> list[str]:
        """Return the calls that change something."""
        return [call for call in self.calls if call.split()[0] not in ("get", "list")]

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """Return a copy."""
        self._called("get", kind, name)
        return copy.deepcopy(self.objects.get((kind, namespace, name)))

    async def list(self, kind: Kind, namespace: str = "", *, selector: str = "", fields: str = "") -> Listing:
        """Return copies; of selectors only the presence of a label, and equality, are known."""
        self._called("list", kind, namespace)
        items = [
            copy.deepcopy(it)
            for (its_kind, its_namespace, _), it in self.objects.items()
            if its_kind is kind and namespace in ("", its_namespace) and _selected(it, selector) and _has(it, fields)
        ]
        return Listing(items, self._version)

    async def apply(self, kind: Kind, manifest: Manifest, *, subresource: str = "") -> Manifest:
        """Merge maps, replace lists; enough for one field manager that always applies everything."""
        metadata = manifest["metadata"]
        where = (kind, metadata["namespace"], metadata["name"])
        self._called("apply", kind, metadata["name"] + (f"/{subresource}" if subresource else ""))
        if not re.fullmatch(r"[a-z0-9.-]+", metadata["name"]):
            raise Permanent(f"apply {kind.name} {metadata['name']}: 422 Invalid: not a name")
        existing = self.objects.get(where)
        if existing is None:
            if subresource:
                raise Transient(f"apply {kind.name} {metadata['name']}: 404")
            return self._store(where, copy.deepcopy(manifest), created=True)
        version = existing["metadata"]["resourceVersion"]
        if metadata.get("resourceVersion", version) != version:
            raise Transient(f"apply {kind.name} {metadata['name']}: 409 Conflict")
        if subresource:
            merged = existing | {subresource: copy.deepcopy(manifest[subresource])}
        else:
            merged = _merged(existing, manifest)
        return copy.deepcopy(existing) if merged == existing else self._store(where, merged)

    async def create(self, kind: Kind, manifest: Manifest) -> bool:
        """Create unless there is one."""
        metadata = manifest["metadata"]
        where = (kind, metadata["namespace"], metadata["name"])
        self._called("create", kind, metadata["name"])
        if where in self.objects:
            return False
        self._store(where, copy.deepcopy(manifest), created=True)
        return True

    async def merge(self, kind: Kind, namespace: str, name: str, patch: Manifest) -> Manifest | None:
        """Merge, null takes away."""
        self._called("merge", kind, name)
        existing = self.objects.get((kind, namespace, name))
        return None if existing is None else self._store((kind, namespace, name), _merged(existing, patch))

    async def replace(self, kind: Kind, manifest: Manifest) -> Manifest | None:
        """Replace the version that is named."""
        metadata = manifest["metadata"]
        where = (kind, metadata["namespace"], metadata["name"])
        self._called("replace", kind, metadata["name"])
        existing = self.objects.get(where)
        if existing is None or metadata.get("resourceVersion") != existing["metadata"]["resourceVersion"]:
            return None
        return self._store(where, _merged(existing, manifest))

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str) -> None:
        """Delete the one with this uid."""
        self._called("delete", kind, name)
        existing = self.objects.get((kind, namespace, name))
        if existing is not None and existing["metadata"]["uid"] == uid:
            del self.objects[kind, namespace, name]

    def _called(self, verb: str, kind: Kind, name: str) -> None:
        call = f"{verb} {kind.name} {name}"
        if call in self.fails:
            raise Transient(f"{call}: the API server does not answer")
        if "/" in name and not name.endswith("/status"):
            raise Permanent(f"{call}: no such subresource")
        self.calls.append(call)

    def _store(self, where: tuple[Kind, str, str], manifest: Manifest, *, created: bool = False) -> Manifest:
        self._version += 1
        metadata = manifest["metadata"]
        metadata["resourceVersion"] = str(self._version)
        if created:
            metadata.setdefault("uid", f"uid-{self._version}")
            metadata.setdefault("creationTimestamp", "2026-11-21T12:00:00Z")
        self.objects[where] = manifest
        return copy.deepcopy(manifest)


def _merged(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _merged(merged[key], value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def _selected(manifest: Manifest, selector: str) -> bool:
    labels = manifest["metadata"].get("labels") or {}
    return all(
        (labels.get(name) == value) if equal else (name in labels)
        for name, equal, value in (part.partition("=") for part in selector.split(",") if part)
    )


def _has(manifest: Manifest, fields: str) -> bool:
    return all(
        _at(manifest, path) == value for path, _, value in (part.partition("=") for part in fields.split(",") if part)
    )


def _at(manifest: Manifest, path: str) -> Any:
    """Return what is at a path as `metadata.name`; None where nothing is."""
    found: Any = manifest
    for key in path.split("."):
        found = (found or {}).get(key)
    return found
