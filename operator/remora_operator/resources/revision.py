"""Revisions as objects: a ControllerRevision each, and their code in a ConfigMap named by its content.

Pure. What a ControllerRevision holds never changes (the API server sees to that); how far its rollout is stands in its
annotations.
"""

from __future__ import annotations

import json
from datetime import datetime

from remora_api import wire
from remora_api.meta import Annotation, Label
from remora_operator import names
from remora_operator.codes import FILE, packed
from remora_operator.kinds import CONFIG_MAP, CONTROLLER_REVISION, Manifest
from remora_operator.resources.metadata import Owner, child
from remora_operator.revisions import Revision

MAX_DEPLOYMENTS = 100_000
"""Characters of `spec.deployments` that are kept with a revision: annotations have 256 KiB in all."""


def record(owner: Owner, revision: Revision) -> Manifest:
    """Return the ControllerRevision of a revision."""
    deployments = json.dumps(list(revision.deployments), sort_keys=True, separators=(",", ":"))
    body: Manifest = {
        "revision": revision.number,
        "data": {
            "inputs": revision.inputs,
            "image": revision.image,
            "code": revision.code,
            "spec": dict(revision.spec),
        },
    }
    annotations = {
        Annotation.DEPLOYMENTS: deployments if len(deployments) <= MAX_DEPLOYMENTS else "[]",
        Annotation.ROLLOUT_BEGAN: _text(revision.began),
        Annotation.ROLLOUT_STEP: str(revision.step),
        Annotation.ROLLOUT_SINCE: _text(revision.since),
        Annotation.ROLLOUT_FAILED: revision.failed,
    }
    return child(
        CONTROLLER_REVISION,
        revision.name,
        owner,
        body,
        more_labels={Label.REVISION: revision.name},
        annotations=annotations,
    )


def code(owner: Owner, bundle: wire.CodeBundle) -> Manifest:
    """Return the ConfigMap that keeps a code bundle."""
    return child(
        CONFIG_MAP,
        names.code(owner.name, bundle.digest),
        owner,
        {"immutable": True, "binaryData": {FILE: packed(bundle)}},
        annotations={Annotation.CODE_DIGEST: bundle.digest},
    )


def _text(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""
