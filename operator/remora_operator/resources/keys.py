"""Secrets with the application's keys: one per purpose, immutable, derived and never read.

Pure. The operator may only create Secrets, so these are created once and never compared.
"""

from __future__ import annotations

from remora_api.keys import Purpose
from remora_operator import names
from remora_operator.installation import KEY_GENERATION, Installation
from remora_operator.kinds import SECRET, Manifest
from remora_operator.resources.metadata import Owner, labels


def secrets(owner: Owner, installation: Installation) -> list[Manifest]:
    """Return one Secret for each purpose."""
    return [_secret(owner, purpose, installation.key(owner.uid, purpose)) for purpose in Purpose]


def _secret(owner: Owner, purpose: Purpose, key: str) -> Manifest:
    return {
        "apiVersion": SECRET.api_version,
        "kind": SECRET.name,
        "metadata": {
            "name": names.key(owner.name, owner.uid, purpose, KEY_GENERATION),
            "namespace": owner.namespace,
            "labels": labels(owner),
            "ownerReferences": [owner.reference],
        },
        "type": "Opaque",
        "immutable": True,
        "stringData": {"key": key},
    }
