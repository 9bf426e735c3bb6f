"""Chosen: whether the number in `spec.replicas` is somebody's wish, or the schema's default that nobody asked for.

Pure. The default is there so that the scale subresource, and with it a HorizontalPodAutoscaler, always has a number to
go on from; it must not overrule `num_replicas` of the program. Any other number was chosen. The default's own value was
when the record of who wrote which field says so: `metadata.managedFields` of server-side apply and of the scale
subresource, or what `kubectl apply` applied last
(https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from remora_api.v1alpha1 import ServeApplication, ServeApplicationSpec

DEFAULT: int = ServeApplicationSpec.model_fields["replicas"].default
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def has_replicas(application: ServeApplication) -> bool:
    """Whether somebody chose `spec.replicas`."""
    metadata = application.metadata
    return (
        application.spec.replicas != DEFAULT
        or any(map(chooses_replicas, metadata.managed_fields))
        or _applied(metadata.annotations.get(LAST_APPLIED, ""))
    )


def chooses_replicas(entry: Mapping[str, Any]) -> bool:
    """Whether an entry of `managedFields` is of somebody who wrote `spec.replicas` on purpose.

    Who creates or updates a whole object is recorded for its defaults, too; who applies, or scales, is not.
    """
    is_deliberate = entry.get("operation") == "Apply" or entry.get("subresource") == "scale"
    fields = (entry.get("fieldsV1") or {}).get("f:spec") or {}
    return is_deliberate and "f:replicas" in fields


def _applied(text: str) -> bool:
    try:
        applied = json.loads(text) if text else {}
    except ValueError:
        # Not written by kubectl: it says nothing.
        return False
    return isinstance(applied, dict) and "replicas" in (applied.get("spec") or {})
