"""Kubernetes through the official client's `ApiClient`: authentication, TLS and connections are its business.

The client blocks, so its calls run in a few threads of their own. The generated classes for every kind are not used:
they would be most of the operator's memory.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import urllib3
from kubernetes.client.api_client import ApiClient
from kubernetes.client.configuration import Configuration
from kubernetes.config import ConfigException, load_incluster_config, load_kube_config

from remora_api.meta import FIELD_MANAGER
from remora_operator.cluster import Listing
from remora_operator.errors import Permanent, Transient
from remora_operator.kinds import Kind, Manifest

DEADLINE_S = 10.0
PAGE = 500
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"


def configuration() -> Configuration:
    """Return how to reach the cluster: as a pod of it, or else as kubectl would."""
    config = Configuration()
    try:
        load_incluster_config(client_configuration=config)
    except ConfigException:
        load_kube_config(client_configuration=config)
    # The deadline is ours, and the reconcile is the retry.
    config.retries = False
    return config


class KubernetesCluster:
    """An API server; see `cluster.Cluster`."""

    def __init__(self, config: Configuration, *, concurrency: int = 16) -> None:
        config.connection_pool_maxsize = concurrency
        self._client = ApiClient(config)
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="kubernetes")

    def close(self) -> None:
        """Give up the connections; calls that are under way end by their deadline."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """Return an object; None when there is none."""
        status, body = await self._call("GET", kind.path(namespace, name))
        return None if status == 404 else _accepted(status, body, f"get {kind.name} {namespace}/{name}")

    async def list(self, kind: Kind, namespace: str = "", *, selector: str = "", fields: str = "") -> Listing:
        """Return all objects of a kind, in one namespace or in all: with these labels, and these values of fields."""
        items: list[Manifest] = []
        query = {"limit": str(PAGE)}
        query |= {name: it for name, it in (("labelSelector", selector), ("fieldSelector", fields)) if it}
        while True:
            status, body = await self._call("GET", kind.path(namespace), query=query)
            page = _accepted(status, body, f"list {kind.plural}")
            items += page.get("items") or []
            metadata = page.get("metadata") or {}
            if not metadata.get("continue"):
                return Listing(items, int(metadata.get("resourceVersion") or 0))
            query["continue"] = metadata["continue"]

    async def apply(self, kind: Kind, manifest: Manifest, *, subresource: str = "") -> Manifest:
        """Apply on the server, as the operator's field manager, taking over fields that others wrote."""
        metadata = manifest["metadata"]
        path = kind.path(metadata["namespace"], metadata["name"], subresource)
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        status, body = await self._call("PATCH", path, query=query, body=manifest, content=_APPLY)
        return _accepted(status, body, f"apply {kind.name} {metadata['namespace']}/{metadata['name']}")

    async def create(self, kind: Kind, manifest: Manifest) -> bool:
        """Create; False when an object of this name exists."""
        metadata = manifest["metadata"]
        query = {"fieldManager": FIELD_MANAGER}
        status, body = await self._call("POST", kind.path(metadata["namespace"]), query=query, body=manifest)
        if status == 409 and body.get("reason") == "AlreadyExists":
            return False
        _accepted(status, body, f"create {kind.name} {metadata['namespace']}/{metadata['name']}")
        return True

    async def merge(self, kind: Kind, namespace: str, name: str, patch: Manifest) -> Manifest | None:
        """Merge a patch into an object; None when there is none."""
        query = {"fieldManager": FIELD_MANAGER}
        status, body = await self._call("PATCH", kind.path(namespace, name), query=query, body=patch, content=_MERGE)
        return None if status == 404 else _accepted(status, body, f"patch {kind.name} {namespace}/{name}")

    async def replace(self, kind: Kind, manifest: Manifest) -> Manifest | None:
        """Replace an object unless it changed since it was read; None when it did, or is gone."""
        metadata = manifest["metadata"]
        path = kind.path(metadata["namespace"], metadata["name"])
        status, body = await self._call("PUT", path, query={"fieldManager": FIELD_MANAGER}, body=manifest)
        if status in (404, 409):
            return None
        return _accepted(status, body, f"update {kind.name} {metadata['namespace']}/{metadata['name']}")

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str) -> None:
        """Delete the object with this uid and, in the background, what it owns; nothing happens if it is gone."""
        options = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        status, body = await self._call("DELETE", kind.path(namespace, name), body=options)
        if status not in (404, 409):
            _accepted(status, body, f"delete {kind.name} {namespace}/{name}")

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Manifest | None = None,
        content: str = "application/json",
    ) -> tuple[int, Manifest]:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(
                self._threads, self._blocking, method, path, dict(query or {}), body, content
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Transient(f"{method} {path}: the API server does not answer: {error}") from error

    def _blocking(
        self, method: str, path: str, query: dict[str, str], body: Manifest | None, content: str
    ) -> tuple[int, Manifest]:
        request = self._client.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params={"Accept": "application/json", "Content-Type": content},
            body=body,
            auth_settings=["BearerToken"],
        )
        response = self._client.call_api(*request, _request_timeout=DEADLINE_S)
        text = response.read()
        return response.status, _json(text)


def _json(text: bytes | None) -> Manifest:
    try:
        parsed: Any = json.loads(text or b"{}")
    except ValueError:
        parsed = {"message": (text or b"")[:200].decode(errors="replace")}
    return parsed if isinstance(parsed, dict) else {"message": str(parsed)[:200]}


def _accepted(status: int, body: Manifest, what: str) -> Manifest:
    """Return the body of a good answer; raise by what can be done about a bad one."""
    if status < 300:
        return body
    message = f"{what}: {status} {body.get('reason', '')}: {body.get('message', '')}"
    if status in (400, 403, 405, 413, 415, 422) and not _is_quota(body) and not _is_terminating(body):
        raise Permanent(message)
    raise Transient(message)


def _is_quota(body: Manifest) -> bool:
    return "exceeded quota" in str(body.get("message", ""))


def _is_terminating(body: Manifest) -> bool:
    """The namespace is being deleted, and this application with it: nothing is wrong with either."""
    causes = (body.get("details") or {}).get("causes") or []
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)
