"""Lays a user's pod template over the operator's own, as `kubectl patch` would.

Pure. Maps are merged key by key; lists of things with a name (containers, env, volumes, …) item by item; all other
lists are replaced. A null takes a field away.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remora_operator.kinds import Manifest

_MERGED_BY = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "ports": "containerPort",
    "imagePullSecrets": "name",
    "topologySpreadConstraints": "topologyKey",
}


def lay_over(base: Mapping[str, Any], patch: Mapping[str, Any]) -> Manifest:
    """Return base with patch merged over it."""
    merged = dict(base)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge(name, merged.get(name), value)
    return merged


def _merge(name: str, ours: Any, theirs: Any) -> Any:
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        return lay_over(ours, theirs)
    if isinstance(ours, list) and isinstance(theirs, list) and name in _MERGED_BY:
        return _merge_items(_MERGED_BY[name], ours, theirs)
    return theirs


def _merge_items(key: str, ours: list[Any], theirs: list[Any]) -> list[Any]:
    patches = {item[key]: item for item in theirs if isinstance(item, Mapping) and key in item}
    known = {item.get(key) for item in ours}
    merged = [lay_over(item, patches.get(item.get(key), {})) for item in ours]
    return merged + [item for item in theirs if not (isinstance(item, Mapping) and item.get(key) in known)]
