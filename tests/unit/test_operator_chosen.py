"""A default that nobody asked for does not overrule the program; a number that somebody set does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from remora_api.v1alpha1 import ServeApplication
from remora_operator.chosen import LAST_APPLIED, has_replicas
from remora_operator.kinds import SERVE_APPLICATION, Key
from remora_operator.store import Store
from tests.fakes.applications import manifest
from tests.fakes.operator_world import World

OWNED: dict[str, Any] = {"f:spec": {"f:replicas": {}, "f:importPath": {}}}


def entry(operation: str, subresource: str = "", fields: Any = None) -> dict[str, Any]:
    """Return an entry of managedFields as the API server writes it."""
    found = {"manager": "m", "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": fields or OWNED}
    return found | ({"subresource": subresource} if subresource else {})


def applied(**spec: Any) -> str:
    return json.dumps({"spec": {"importPath": "hello:app", **spec}})


@pytest.mark.parametrize(
    ("replicas", "entries", "annotation", "is_chosen"),
    [
        # `kubectl apply` without and with the field; it owns the default as well.
        (1, [entry("Update")], applied(), False),
        (1, [entry("Update")], applied(replicas=1), True),
        # Server-side apply owns what it applied only.
        (1, [entry("Apply", fields={"f:spec": {"f:importPath": {}}})], "", False),
        (1, [entry("Apply")], "", True),
        # `kubectl scale` and a HorizontalPodAutoscaler.
        (1, [entry("Update"), entry("Update", "scale", {"f:spec": {"f:replicas": {}}})], applied(), True),
        # The operator's own writes, and an object of which nothing is recorded.
        (1, [entry("Apply", "status", {"f:status": {"f:replicas": {}}})], "", False),
        (1, [], "", False),
        (1, [], "no JSON", False),
        (1, [], "[]", False),
        # Any other number.
        (0, [], "", True),
        (3, [entry("Update")], applied(), True),
    ],
)
def test_who_wrote_it_decides(replicas: int, entries: list[dict[str, Any]], annotation: str, is_chosen: bool) -> None:
    resource = manifest(replicas=replicas)
    resource["metadata"] |= {"managedFields": entries, "annotations": {LAST_APPLIED: annotation} if annotation else {}}
    assert has_replicas(ServeApplication.from_manifest(resource)) is is_chosen
    # The store keeps no more of the record than what tells.
    store = Store()
    store.put(SERVE_APPLICATION, resource)
    kept = store.application(Key("shop", "hello"))
    assert kept is not None
    assert "importPath" not in json.dumps(kept["metadata"].get("managedFields", []))
    assert has_replicas(ServeApplication.from_manifest(kept)) is is_chosen


def test_the_program_says_how_many_until_somebody_scales_to_one() -> None:
    world = World(manifest(replicas=1))
    world.settle()
    target = world.controllers[1].target
    assert target is not None
    assert target.ingress_replicas is None
    world.resource["metadata"]["managedFields"] = [entry("Update", "scale")]
    world.settle()
    target = world.controllers[1].target
    assert target is not None
    assert target.ingress_replicas == 1
