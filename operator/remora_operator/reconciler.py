"""A reconcile: observe → plan → apply, for one application at a time and several applications at once.

The queue calls `work`; what it raises is recorded there and tried again, more slowly each time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from remora_api.meta import ConditionType, Reason
from remora_api.v1alpha1 import Condition, ConditionStatus, InvalidManifest, ServeApplication, ServeApplicationStatus
from remora_operator import events
from remora_operator.apply import Applier
from remora_operator.controller_client import ControllerLinks
from remora_operator.errors import Permanent, Refused
from remora_operator.figures_client import ProxyFigures
from remora_operator.installation import Installation
from remora_operator.kinds import Key, Manifest
from remora_operator.metrics import Metrics
from remora_operator.observe import Observer
from remora_operator.observed import Refusal
from remora_operator.plan import Plan, plan
from remora_operator.proxy_client import ProxyPushes
from remora_operator.proxy_watch import ProxyWatches
from remora_operator.queue import WorkQueue
from remora_operator.store import Store

log = logging.getLogger(__name__)

NEXT_STEP_S = 0.05


@dataclass(slots=True)
class Reconciler:
    """Reconciles; the queue says which and when."""

    installation: Installation
    queue: WorkQueue[Key]
    store: Store
    observer: Observer
    applier: Applier
    links: ControllerLinks
    pushes: ProxyPushes
    watches: ProxyWatches
    figures: ProxyFigures
    metrics: Metrics
    clock: Callable[[], datetime]
    monotonic: Callable[[], float]
    refused: dict[Key, Refusal] = field(default_factory=dict)
    """Revisions that the API server does not take; a revision that is tried again has another number."""

    async def work(self, key: Key) -> float | None:
        """Reconcile one application; return seconds after which to look again though nothing happens."""
        began = self.monotonic()
        try:
            again = await self.reconcile(key)
        except Exception:
            # Counted here; the queue, whose business failures are, records it and backs off.
            self.metrics.failed()
            raise
        self.metrics.reconciled(self.monotonic() - began)
        return again

    async def reconcile(self, key: Key) -> float | None:
        """Bring one application nearer to what is wanted."""
        manifest = self.store.application(key)
        if manifest is None:
            self._forget(key)
            return None
        now = self.clock()
        try:
            application = ServeApplication.from_manifest(manifest)
        except InvalidManifest as error:
            # Only possible for objects stored under an older schema: the API server refuses others.
            await self._refuse(manifest, str(error), now)
            return None
        observed = replace(await self.observer.observe(key, application, now), refused=self.refused.get(key))
        decided = plan(application, observed, self.installation, now)
        self.links.follow(key, decided.links)
        self.pushes.follow(key, decided.push)
        self.watches.follow(key, decided.watches)
        self.figures.follow(key, decided.counted)
        try:
            await self.applier.apply(application, observed, decided, now)
        except Permanent as error:
            if isinstance(error, Refused) and decided.revision is not None:
                self.refused[key] = Refusal(*decided.revision, str(error))
            await self.applier.report(
                application, _with_problem(application, decided, Reason.APPLY_FAILED, str(error), now), now
            )
            raise
        await self.applier.report(application, decided, now)
        if decided.is_a_step:
            # What was written is in the store already, so that its watch event is no news and wakes nobody.
            return NEXT_STEP_S
        return decided.requeue_after.total_seconds() if decided.requeue_after is not None else None

    async def _refuse(self, manifest: Manifest, message: str, now: datetime) -> None:
        """Say in the status what is wrong with a resource that cannot be read, and leave its children as they are."""
        readable = ServeApplication.from_manifest(
            {"metadata": manifest["metadata"], "spec": {"importPath": "not:read"}}
            | {name: manifest[name] for name in ("status",) if _is_status(manifest.get(name))}
        )
        await self.applier.report(readable, _with_problem(readable, Plan(), Reason.INVALID_SPEC, message, now), now)

    def _forget(self, key: Key) -> None:
        self.links.follow(key, ())
        self.pushes.forget(key)
        self.watches.follow(key, ())
        self.figures.follow(key, None)
        self.observer.forget(key)
        self.refused.pop(key, None)
        self.queue.forget(key)


def _is_status(status: Any) -> bool:
    try:
        ServeApplicationStatus.model_validate(status, extra="ignore")
    except ValidationError:
        return False
    return True


def _with_problem(application: ServeApplication, decided: Plan, reason: Reason, message: str, now: datetime) -> Plan:
    """Return the plan with a status that says why it could not be carried out."""
    status = decided.status or application.status
    ready, stalled = ConditionType.READY.value, ConditionType.STALLED.value
    others = [it for it in status.conditions if it.type not in (ready, stalled, ConditionType.RECONCILING.value)]
    problem = [
        _condition(application, kind, is_true, reason, message, now)
        for kind, is_true in ((ready, False), (stalled, True))
    ]
    new = status.model_copy(
        update={"conditions": (*others, *problem), "observed_generation": application.metadata.generation}
    )
    changed = new != application.status
    return Plan(status=new if changed else None, events=events.changes(application.status, new) if changed else ())


def _condition(
    application: ServeApplication, kind: str, is_true: bool, reason: Reason, message: str, now: datetime
) -> Condition:
    status = ConditionStatus.TRUE if is_true else ConditionStatus.FALSE
    before = application.status.condition(kind)
    return Condition(
        type=kind,
        status=status,
        observed_generation=application.metadata.generation,
        last_transition_time=before.last_transition_time
        if before is not None and before.status is status
        else now.replace(microsecond=0),
        reason=reason.value,
        message=message[:1024],
    )


def _about(key: Key) -> dict[str, object]:
    return {"namespace": key.namespace, "app": key.name}
