"""First step of a reconcile: gathers what is, without a call to anybody in an application that is well.

Objects come from the store that the watches fill, controllers and proxies from their links. Read from the API server
are only the ConfigMap with user code, when its version moved, and the events of what does not come up and does not say
why.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from remora_api import wire
from remora_api.target import code_bundle
from remora_api.v1alpha1 import ServeApplication
from remora_operator.cluster import Cluster
from remora_operator.controller_client import ControllerLinks
from remora_operator.event_reasons import with_reasons
from remora_operator.figures_client import ProxyFigures
from remora_operator.kinds import CHILDREN, CONFIG_MAP, POD, REPLICA_SET, Key, Kind, Manifest
from remora_operator.observed import Child, CodeMissing, Observed, Pod, child_from, pod_from
from remora_operator.proxy_client import ProxyPushes
from remora_operator.proxy_watch import ProxyWatches
from remora_operator.store import Store

MAX_CODE_BYTES = 1 << 20
"""As much as a ConfigMap can hold."""
SECRETS_TRUSTED = timedelta(minutes=10)
"""How long a Secret counts as existing after it was created or found: Secrets cannot be watched."""


@dataclass(frozen=True, slots=True)
class _ReadCode:
    version: str
    code: wire.CodeBundle | CodeMissing


@dataclass(slots=True)
class Observer:
    """Gathers; remembers only what it would otherwise have to read again."""

    cluster: Cluster
    store: Store
    links: ControllerLinks
    pushes: ProxyPushes
    watches: ProxyWatches
    figures: ProxyFigures
    _code: dict[Key, _ReadCode] = field(default_factory=dict)
    _secrets: dict[Key, dict[str, datetime]] = field(default_factory=dict)
    _code_users: dict[Key, set[Key]] = field(default_factory=dict)

    async def observe(self, key: Key, application: ServeApplication, now: datetime) -> Observed:
        """Return everything that a plan for this application is made from."""
        children, pods = _owned(self.store.of(key), application.metadata.uid)
        children, pods = await with_reasons(self.cluster, key.namespace, children, pods, now)
        return Observed(
            children={it.ref: it for it in children},
            pods=pods,
            code=await self._code_of(key, application),
            controllers=self.links.views(key),
            secrets=frozenset(
                name for name, seen in self._secrets.get(key, {}).items() if now - seen < SECRETS_TRUSTED
            ),
            routed=self.pushes.routed(key),
            activity=self.watches.activity(key),
            figures=self.figures.of(key),
        )

    def secret_exists(self, key: Key, name: str, now: datetime) -> None:
        """Note that a Secret was created or found to be there."""
        self._secrets.setdefault(key, {})[name] = now

    def users_of(self, config_map: Key) -> set[Key]:
        """Return the applications whose code is in a ConfigMap."""
        return self._code_users.get(config_map, set())

    def forget(self, key: Key) -> None:
        """Drop what is remembered of an application that is gone."""
        self._secrets.pop(key, None)
        self._code.pop(key, None)
        self._uses(key, None)

    async def _code_of(self, key: Key, application: ServeApplication) -> wire.CodeBundle | CodeMissing | None:
        code = application.spec.code
        self._uses(key, Key(key.namespace, code.config_map.name) if code and code.config_map else None)
        if code is None:
            return None
        if code.inline is not None:
            return code_bundle(code.inline)
        assert code.config_map is not None  # the schema: exactly one of the two
        return await self._read(key, Key(key.namespace, code.config_map.name))

    async def _read(self, key: Key, config_map: Key) -> wire.CodeBundle | CodeMissing:
        version = self.store.config_map_version(config_map)
        known = self._code.get(key)
        if known is not None and version and known.version == f"{config_map.name}@{version}":
            return known.code
        manifest = await self.cluster.get(CONFIG_MAP, config_map.namespace, config_map.name)
        if manifest is None:
            self._code.pop(key, None)
            return CodeMissing(
                f"ConfigMap {config_map.name} of spec.code does not exist in namespace "
                f"{config_map.namespace}: create it"
            )
        data: dict[str, str] = manifest.get("data") or {}
        read: wire.CodeBundle | CodeMissing = code_bundle(data)
        if not data:
            read = CodeMissing(f"ConfigMap {config_map.name} of spec.code has no data: add your files as its keys")
        elif sum(map(len, data.values())) > MAX_CODE_BYTES:
            read = CodeMissing(
                f"ConfigMap {config_map.name} of spec.code is larger than 1 MiB: put code into the image"
            )
        self._code[key] = _ReadCode(f"{config_map.name}@{manifest['metadata'].get('resourceVersion', '')}", read)
        return read

    def _uses(self, key: Key, config_map: Key | None) -> None:
        for users in self._code_users.values():
            users.discard(key)
        if config_map is not None:
            self._code_users.setdefault(config_map, set()).add(key)


def _owned(objects: list[tuple[Kind, Manifest]], uid: str) -> tuple[list[Child], tuple[Pod, ...]]:
    """Return the children of the resource with this uid, and their pods.

    Labels are not enough: objects of a deleted resource of the same name may still be on their way out. Pods belong to
    a child, or to a ReplicaSet of a child.
    """
    children = [child_from(it) for kind, it in objects if kind in CHILDREN and uid in _owners(it)]
    owners = {it.uid for it in children}
    owners |= {it["metadata"].get("uid") for kind, it in objects if kind is REPLICA_SET and owners & _owners(it)}
    pods = (pod_from(it) for kind, it in objects if kind is POD and owners & _owners(it))
    return children, tuple(it for it in pods if it is not None)


def _owners(manifest: Manifest) -> set[str]:
    return {it.get("uid", "") for it in manifest["metadata"].get("ownerReferences") or []}
