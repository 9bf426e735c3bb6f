"""Pause: whether a person wants the operator to keep its hands off an application.

Pure. Everything is observed and judged as ever, so that the status stays true; nothing but the status is written
(`plan.Plan.only_watching`).
"""

from __future__ import annotations

from remora_api.meta import Annotation
from remora_api.v1alpha1 import ServeApplication
from remora_operator.observed import Observed


def is_paused(application: ServeApplication) -> bool:
    """Whether the annotation says so; any value but `true` does not."""
    return application.metadata.annotations.get(Annotation.PAUSED) == "true"


def not_suspended_yet(application: ServeApplication, observed: Observed) -> ServeApplication:
    """Return a paused application without `spec.suspend` while its pods are there: it serves on, and that is told."""
    if not (is_paused(application) and application.spec.suspend and observed.pods):
        return application
    return application.model_copy(update={"spec": application.spec.model_copy(update={"suspend": False})})
