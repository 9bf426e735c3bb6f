"""What tracing adds to an application's children, and that it adds nothing where it is off."""

from __future__ import annotations

from typing import Any

import pytest

from remora_api.v1alpha1 import InvalidManifest, ServeApplication
from remora_operator import revisions
from remora_operator.resources import pod, proxy, worker
from remora_operator.resources.metadata import Owner
from tests.fakes.applications import application, manifest

TRACING = {"endpoint": "http://collector.observability:4318", "samplingRatePerMillion": 250_000}


def values(container: Any) -> dict[str, str]:
    return {it["name"]: it["value"] for it in container["env"] if it["name"].startswith("REMORA_TRACING")}


def test_proxies_are_told_where_and_how_many() -> None:
    wanted = application(tracing=TRACING)
    (container,) = proxy.deployment(Owner.of(wanted), wanted, "image", "hash")["spec"]["template"]["spec"]["containers"]
    assert values(container) == {
        "REMORA_TRACING_ENDPOINT": "http://collector.observability:4318",
        "REMORA_TRACING_SAMPLING_RATIO": "0.25",
    }


def test_workers_are_told_the_same_and_it_is_a_part_of_the_revision() -> None:
    plain, wanted = application(), application(tracing=TRACING)
    group = wanted.spec.workers[0]
    assert wanted.spec.tracing is not None
    assert worker.inputs(wanted, group, 1, "image")["tracing"] == wanted.spec.tracing.model_dump(mode="json")
    assert revisions.inputs(wanted.spec, "")["tracing"] == TRACING
    for found in (
        proxy.inputs(plain),
        worker.inputs(plain, group, 1, "image"),
        revisions.inputs(plain.spec, ""),
    ):
        assert "tracing" not in found
    assert pod.tracing(plain) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "endpoint"),
        ({"endpoint": "collector:4318"}, "must be the http or https URL of a collector"),
        ({"endpoint": "http://c?x=1"}, "must be the http or https URL of a collector"),
        ({"endpoint": "http://c", "samplingRatePerMillion": 1_000_001}, "samplingRatePerMillion"),
    ],
)
def test_wrong_ones_are_refused_with_the_path(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidManifest, match=r"spec\.tracing") as raised:
        ServeApplication.from_manifest(manifest(tracing=wrong), strict=True)
    assert said in str(raised.value)
