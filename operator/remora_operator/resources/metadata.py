"""Labels, owner and digest: what all children have in common.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from remora_api.digests import digest
from remora_api.meta import API_VERSION, FIELD_MANAGER, KIND, Annotation, Component, Label
from remora_api.v1alpha1 import ServeApplication
from remora_operator.kinds import Kind, Manifest


@dataclass(frozen=True, slots=True)
class Owner:
    """The application that a child belongs to."""

    name: str
    namespace: str
    uid: str

    @classmethod
    def of(cls, application: ServeApplication) -> Owner:
        """Return the owner that an application is."""
        metadata = application.metadata
        return cls(metadata.name, metadata.namespace, metadata.uid)

    @property
    def reference(self) -> Manifest:
        """The ownerReference by which Kubernetes deletes a child with its application."""
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }


def labels(owner: Owner, component: Component | None = None, **extra: str) -> dict[str, str]:
    """Return the labels of a child; those of a pod template include its component."""
    common = {
        Label.NAME: "remora",
        Label.INSTANCE: owner.name,
        Label.PART_OF: "remora",
        Label.MANAGED_BY: FIELD_MANAGER,
        Label.APPLICATION: owner.name,
    }
    if component is not None:
        common |= {Label.COMPONENT_OF: component.value, Label.COMPONENT: component.value}
    return common | extra


def selector(owner: Owner, component: Component) -> dict[str, str]:
    """Return the labels that the pods of one component share, and no other pods have."""
    return {Label.APPLICATION: owner.name, Label.COMPONENT: component.value}


def child(
    kind: Kind,
    name: str,
    owner: Owner,
    body: Manifest,
    *,
    component: Component | None = None,
    more_labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    made_from: str = "",
) -> Manifest:
    """Return a whole manifest. `made_from` is the digest that decides whether it is applied again.

    For kinds with a pod template it is taken over the inputs, so that a new version of the operator, which may render
    them differently, replaces no pod. For the others it is taken over the manifest itself.
    """
    return {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": {
            "name": name,
            "namespace": owner.namespace,
            "labels": labels(owner, component) | dict(more_labels or {}),
            "annotations": dict(annotations or {}) | {Annotation.SPEC_HASH: made_from or digest(body)},
            "ownerReferences": [owner.reference],
        },
        **body,
    }
