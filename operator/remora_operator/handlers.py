"""Handlers: kopf watches, these put what it saw into the store and wake the application. They decide nothing.

Only `on.event` handlers: kopf adds no finalizer and no annotation for those, so a resource, and its namespace, can be
deleted while the operator is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import kopf

from remora_api.meta import Label
from remora_operator.kinds import CONFIG_MAP, SERVE_APPLICATION, WATCHED, Key, Kind, Manifest
from remora_operator.metrics import Metrics
from remora_operator.store import Store, application_of


@dataclass(frozen=True, slots=True)
class Watcher:
    """Where events go."""

    store: Store
    wake: Callable[[Key], None]
    users_of: Callable[[Key], set[Key]]
    """Applications whose code is in a ConfigMap."""
    metrics: Metrics

    def saw(self, kind: Kind, event_type: str | None, manifest: Manifest) -> None:
        """Take in one event."""
        self.metrics.watched(kind.name)
        if event_type == "DELETED":
            self.store.remove(kind, manifest)
        elif not self.store.put(kind, manifest):
            return
        key = application_of(kind, manifest)
        if key is not None:
            self.wake(key)
        elif kind is CONFIG_MAP:
            metadata = manifest["metadata"]
            for user in self.users_of(Key(metadata.get("namespace", ""), metadata["name"])):
                self.wake(user)


def registry(watcher: Watcher) -> kopf.OperatorRegistry:
    """Return the handlers of one operator."""
    handlers = kopf.OperatorRegistry()
    kopf.on.login(registry=handlers)(kopf.login_via_client)
    for kind in WATCHED:
        kopf.on.event(kind.api_version, kind.plural, registry=handlers, id=kind.plural)(_handler(watcher, kind))
    return handlers


def settings() -> kopf.OperatorSettings:
    """Return how kopf has to behave: watch, and nothing else."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    # Our kinds are known, and the rights to look for new kinds and namespaces are not ours.
    chosen.scanning.disabled = True
    chosen.watching.server_timeout = 300
    for kind in WATCHED:
        # ConfigMaps with users' code bear no label of ours.
        if kind not in (SERVE_APPLICATION, CONFIG_MAP):
            chosen.watching.label_selectors[kind.api_version, kind.plural] = Label.APPLICATION
    return chosen


def _handler(watcher: Watcher, kind: Kind) -> Any:
    async def saw(event: kopf.RawEvent, **_: Any) -> None:
        watcher.saw(kind, event["type"], dict(event["object"]))

    return saw
