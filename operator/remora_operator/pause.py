"""Pause: what is left of a plan while a person wants the operator to keep its hands off an application.

Pure. Everything is observed and judged as ever, so that the status stays true; nothing but the status is written.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from remora_api.meta import Annotation
from remora_api.v1alpha1 import ServeApplication
from remora_operator.observed import Observed

if TYPE_CHECKING:
    from remora_operator.plan import Plan


def is_paused(application: ServeApplication) -> bool:
    """Whether the annotation says so; any value but `true` does not."""
    return application.metadata.annotations.get(Annotation.PAUSED) == "true"


def not_suspended_yet(application: ServeApplication, observed: Observed) -> ServeApplication:
    """Return a paused application without `spec.suspend` while its pods are there: it serves on, and that is told."""
    if not (is_paused(application) and application.spec.suspend and observed.pods):
        return application
    return application.model_copy(update={"spec": application.spec.model_copy(update={"suspend": False})})


def only_watching(decided: Plan) -> Plan:
    """Return the plan without anything that would change the cluster, a controller or a proxy.

    Controllers and proxies are listened to as before; they keep what they were told last.
    """
    return replace(
        decided,
        secrets=(),
        applies=(),
        resizes=(),
        costs=(),
        deletes=(),
        links=tuple(replace(it, target=None, leaves=False) for it in decided.links),
        push=None,
    )
