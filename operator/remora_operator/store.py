"""Store: what the watches have shown, by application. Memory only; the API server is the truth.

`handlers` and `relist` put in, `observe` reads, and `apply` puts in the answers to its writes, so that the next
reconcile sees them. Objects are kept as trimmed JSON: as dictionaries a thousand applications would fill 200 MB.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from remora_api.meta import Label
from remora_operator.chosen import chooses_replicas
from remora_operator.kinds import CONFIG_MAP, SERVE_APPLICATION, Key, Kind, Manifest

_UNREAD = ("managedFields", "selfLink", "generateName")
_OF_REPLICAS: dict[str, object] = {"f:spec": {"f:replicas": {}}}


class Store:
    """Objects of the watched kinds."""

    def __init__(self) -> None:
        self._objects: dict[tuple[Kind, str, str], bytes] = {}
        self._versions: dict[tuple[Kind, str, str], int] = {}
        self._by_application: dict[Key, set[tuple[Kind, str, str]]] = {}
        self._foreign: dict[Key, str] = {}

    def __repr__(self) -> str:
        return f"<Store {len(self._objects)} objects of {len(self._by_application)} applications>"

    def put(self, kind: Kind, manifest: Manifest) -> bool:
        """Keep an object; False when this, or a later version of it, is known already."""
        metadata = manifest["metadata"]
        where = (kind, metadata.get("namespace", ""), metadata["name"])
        version = _version(metadata)
        if where in self._objects and version <= self._versions[where]:
            return False
        key = application_of(kind, manifest)
        if key is None:
            return self._put_foreign(kind, manifest)
        self._versions[where] = version
        self._objects[where] = json.dumps(_trimmed(kind, manifest), separators=(",", ":")).encode()
        self._by_application.setdefault(key, set()).add(where)
        return True

    def remove(self, kind: Kind, manifest: Manifest) -> None:
        """Forget an object that was deleted, unless another one has its name by now."""
        metadata = manifest["metadata"]
        where = (kind, metadata.get("namespace", ""), metadata["name"])
        known = self._get(where)
        if known is not None and known["metadata"].get("uid") == metadata.get("uid"):
            self._forget(where)
        self._foreign.pop(Key(where[1], where[2]), None) if kind is CONFIG_MAP else None

    def replace(self, kind: Kind, namespace: str, manifests: Iterable[Manifest], version: int) -> set[Key]:
        """Take a fresh list as the truth; return applications about which something was missed.

        `version` is that of the list: what is newer than it stays, though the list cannot know it.
        """
        missed: set[Key] = set()
        present = set()
        for manifest in manifests:
            metadata = manifest["metadata"]
            present.add((kind, metadata.get("namespace", ""), metadata["name"]))
            key = application_of(kind, manifest)
            if self.put(kind, manifest) and key is not None:
                missed.add(key)
        for where in [it for it in self._objects if it[0] is kind and namespace in ("", it[1]) and it not in present]:
            if self._versions[where] <= version:
                missed |= self._forget(where)
        return missed

    def applications(self) -> list[Key]:
        """Return all applications that exist."""
        return [key for key, objects in self._by_application.items() if _own(key) in objects]

    def application(self, key: Key) -> Manifest | None:
        """Return the resource itself."""
        return self._get(_own(key))

    def of(self, key: Key) -> list[tuple[Kind, Manifest]]:
        """Return everything that bears the application's label, without the resource itself."""
        objects = sorted(self._by_application.get(key, ()), key=lambda it: (it[0].name, it[2]))
        return [
            (kind, json.loads(self._objects[kind, ns, name]))
            for kind, ns, name in objects
            if kind is not SERVE_APPLICATION
        ]

    def config_map_version(self, key: Key) -> str:
        """Return the version of a user's ConfigMap as last seen; empty when none was."""
        return self._foreign.get(key, "")

    def _put_foreign(self, kind: Kind, manifest: Manifest) -> bool:
        """Of ConfigMaps of users only the version is kept: they may be many and large."""
        metadata = manifest["metadata"]
        key = Key(metadata.get("namespace", ""), metadata["name"])
        version = str(metadata.get("resourceVersion", ""))
        if kind is not CONFIG_MAP or self._foreign.get(key) == version:
            return False
        self._foreign[key] = version
        return True

    def _get(self, where: tuple[Kind, str, str]) -> Manifest | None:
        text = self._objects.get(where)
        manifest: Manifest | None = json.loads(text) if text is not None else None
        return manifest

    def _forget(self, where: tuple[Kind, str, str]) -> set[Key]:
        del self._objects[where], self._versions[where]
        keys = {key for key, objects in self._by_application.items() if where in objects}
        for key in keys:
            self._by_application[key].discard(where)
            if not self._by_application[key]:
                del self._by_application[key]
        return keys


def application_of(kind: Kind, manifest: Manifest) -> Key | None:
    """Return the application that an object belongs to, by its label."""
    metadata = manifest["metadata"]
    namespace = metadata.get("namespace", "")
    if kind is SERVE_APPLICATION:
        return Key(namespace, metadata["name"])
    name = (metadata.get("labels") or {}).get(Label.APPLICATION)
    return Key(namespace, name) if name else None


def _own(key: Key) -> tuple[Kind, str, str]:
    return (SERVE_APPLICATION, key.namespace, key.name)


def _version(metadata: Manifest) -> int:
    text = str(metadata.get("resourceVersion", ""))
    return int(text) if text.isdigit() else 0


def _trimmed(kind: Kind, manifest: Manifest) -> Manifest:
    """Return an object with its kind, which lists leave out, and without what nobody reads."""
    metadata = {name: value for name, value in manifest["metadata"].items() if name not in _UNREAD}
    if kind is SERVE_APPLICATION:
        # All that is read of it is who chose spec.replicas.
        deliberate = [it for it in manifest["metadata"].get("managedFields") or () if chooses_replicas(it)]
        if deliberate:
            metadata["managedFields"] = [it | {"fieldsV1": _OF_REPLICAS} for it in deliberate]
    return manifest | {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata}
