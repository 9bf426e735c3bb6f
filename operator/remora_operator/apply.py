"""Third step of a reconcile: performs a Plan. Nothing else writes to the cluster, but the Lease.

Every write is allowed only while this operator leads. Answers go into the store at once, so that the next reconcile
does not plan on what it has just changed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from remora_api.v1alpha1 import ServeApplication
from remora_operator import events
from remora_operator.cluster import Cluster
from remora_operator.errors import Conflict, OperatorError, Permanent, Refused
from remora_operator.kinds import (
    EVENT,
    POD,
    REPLICA_SET,
    SECRET,
    SERVE_APPLICATION,
    STATEFUL_SET,
    Key,
    Manifest,
    kind_of,
)
from remora_operator.observe import Observer
from remora_operator.observed import DELETION_COST, Observed
from remora_operator.plan import Plan
from remora_operator.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Applier:
    """The only writer."""

    cluster: Cluster
    store: Store
    observer: Observer
    may_write: Callable[[], None]
    """Raises NotLeading when this operator does not lead any more."""
    instance: str
    """This operator's name in events."""

    async def apply(self, application: ServeApplication, observed: Observed, plan: Plan, now: datetime) -> None:
        """Do what the plan says, in an order in which nothing refers to what does not exist yet."""
        metadata = application.metadata
        for secret in plan.secrets:
            self.may_write()
            await self.cluster.create(SECRET, secret)
            self.observer.secret_exists(Key(metadata.namespace, metadata.name), secret["metadata"]["name"], now)
        for manifest in plan.applies:
            await self._apply(manifest, application, observed)
        for name, cost in plan.costs:
            self.may_write()
            annotations = {DELETION_COST: str(cost) if cost else None}
            patched = await self.cluster.merge(
                POD, metadata.namespace, name, {"metadata": {"annotations": annotations}}
            )
            self._seen(patched)
        for ref, replicas in plan.resizes:
            self.may_write()
            log.info("resize", extra=_about(application, object=str(ref), replicas=replicas))
            resized = await self.cluster.merge(ref.kind, metadata.namespace, ref.name, {"spec": {"replicas": replicas}})
            self._seen(resized)
        for child in plan.deletes:
            self.may_write()
            log.info("delete", extra=_about(application, object=str(child.ref)))
            await self.cluster.delete(child.ref.kind, metadata.namespace, child.ref.name, uid=child.uid)

    async def report(self, application: ServeApplication, plan: Plan, now: datetime) -> None:
        """Write the status, and then what has changed as events."""
        if plan.status is None:
            return
        metadata = application.metadata
        manifest = {
            "apiVersion": application.api_version,
            "kind": application.kind,
            # With the version: a resource made anew under the same name never gets its predecessor's status.
            "metadata": {
                "name": metadata.name,
                "namespace": metadata.namespace,
                "resourceVersion": metadata.resource_version,
            },
            "status": plan.status.model_dump(mode="json", by_alias=True, exclude_none=True),
        }
        self.may_write()
        self._seen(await self.cluster.apply(SERVE_APPLICATION, manifest, subresource="status"))
        for event in plan.events:
            log.info(event.note, extra=_about(application, reason=event.reason))
            try:
                await self.cluster.create(EVENT, events.manifest(event, application, self.instance, now))
            except OperatorError as error:
                # An event is news, not state: nothing depends on it.
                log.warning("an event was not written", extra=_about(application, error=str(error)))

    async def _apply(self, manifest: Manifest, application: ServeApplication, observed: Observed) -> None:
        kind, metadata = kind_of(manifest), manifest["metadata"]
        if not any(child.name == metadata["name"] and child.kind is kind for child in observed.children):
            await self._refuse_foreign(manifest, application)
        self.may_write()
        log.info("apply", extra=_about(application, object=f"{kind.name} {metadata['name']}"))
        try:
            self._seen(await self.cluster.apply(kind, manifest))
        except Permanent as error:
            if kind in (REPLICA_SET, STATEFUL_SET):
                raise Refused(str(error)) from error
            raise

    async def _refuse_foreign(self, manifest: Manifest, application: ServeApplication) -> None:
        """An apply would take over what somebody else made: raise Conflict instead."""
        kind, metadata = kind_of(manifest), manifest["metadata"]
        existing = await self.cluster.get(kind, metadata["namespace"], metadata["name"])
        owners = (existing["metadata"].get("ownerReferences") or []) if existing else []
        if existing is not None and not any(it.get("uid") == application.metadata.uid for it in owners):
            raise Conflict(
                f"{kind.name} {metadata['name']} exists and does not belong to this application: "
                "delete it, or give the application another name"
            )

    def _seen(self, manifest: Manifest | None) -> None:
        if manifest is not None and manifest.get("kind"):
            kind = POD if manifest["kind"] == POD.name else kind_of(manifest)
            self.store.put(kind, manifest)


def _about(application: ServeApplication, **fields: object) -> dict[str, object]:
    return {"namespace": application.metadata.namespace, "app": application.metadata.name, **fields}
