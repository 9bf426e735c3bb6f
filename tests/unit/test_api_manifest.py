"""From a manifest to the resource: what is accepted, what is refused, and in which words."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from remora_api.v1alpha1 import (
    ConditionStatus,
    InvalidManifest,
    Resources,
    ServeApplication,
    Spread,
    WorkerGroup,
)
from tests.e2e.manifests.table import BAD, GOOD, SMALLEST, Bad, Good, merged


def read(patch: dict[str, object], *, strict: bool = False) -> ServeApplication:
    return ServeApplication.from_manifest(merged(SMALLEST, patch), strict=strict)


@pytest.mark.parametrize("row", GOOD, ids=lambda row: row.name)
def test_accepts(row: Good) -> None:
    assert ServeApplication.from_manifest(row.manifest, strict=True).spec.import_path


@pytest.mark.parametrize("row", BAD, ids=lambda row: row.name)
def test_refuses_and_names_the_field(row: Bad) -> None:
    with pytest.raises(InvalidManifest) as refusal:
        ServeApplication.from_manifest(row.manifest, strict=True)
    assert [problem.path for problem in refusal.value.problems] == [row.path("models")]
    assert row.words("models") in str(refusal.value)


def test_a_name_and_an_import_path_are_enough() -> None:
    spec = read({}, strict=True).spec
    assert (spec.replicas, spec.route_prefix, spec.proxy.replicas, spec.suspend) == (1, "/", 2, False)
    assert spec.workers == (WorkerGroup(name="default", min_replicas=1, max_replicas=10),)
    assert spec.workers[0].resources.cpu_milli == 1000
    assert spec.workers[0].resources.memory_bytes == 2**30


def test_a_stored_object_may_have_fields_of_another_version() -> None:
    patch = {"spec": {"canary": {"steps": 3}, "proxy": {"colour": "red"}}, "status": {"novel": 1}}
    assert read(patch).spec.proxy.replicas == 2


def test_says_everything_that_is_wrong_at_once() -> None:
    with pytest.raises(InvalidManifest) as refusal:
        read({"spec": {"importPath": "x", "replicas": -1, "workers": [{"name": "A"}, {"name": "b", "maxReplicas": 0}]}})
    assert {problem.path for problem in refusal.value.problems} == {
        "spec.importPath",
        "spec.replicas",
        "spec.workers[0].name",
        "spec.workers[1].maxReplicas",
    }


def test_another_kind_is_refused() -> None:
    with pytest.raises(InvalidManifest, match="kind: Input should be 'ServeApplication'"):
        read({"kind": "RayService"})


def test_null_is_as_good_as_absent() -> None:
    manifest = {**SMALLEST, "spec": {"importPath": "hello:app", "replicas": None, "proxy": {"replicas": None}}}
    spec = ServeApplication.from_manifest(manifest, strict=True).spec
    assert (spec.replicas, spec.proxy.replicas) == (1, 2)


def test_the_python_names_of_fields_are_no_fields_of_a_manifest() -> None:
    with pytest.raises(InvalidManifest, match=r"spec\.route_prefix: unknown field"):
        read({"spec": {"route_prefix": "/a"}}, strict=True)


def test_metadata_of_the_api_server_is_passed_over_even_when_strict() -> None:
    application = read({"metadata": {"managedFields": [], "finalizers": ["x"], "generation": 3}}, strict=True)
    assert repr(application) == "<ServeApplication default/hello generation 3>"


def test_what_was_given_can_be_told_from_what_was_not() -> None:
    one, other = read({"spec": {"deployments": [{"name": "A", "userConfig": 0}, {"name": "B"}]}}).spec.deployments
    assert "user_config" in one.model_fields_set
    assert "user_config" not in other.model_fields_set


def test_an_application_that_nobody_has_seen_yet_is_born_not_ready() -> None:
    status = read({"metadata": {"generation": 1}}).status
    assert status.observed_generation == -1
    assert status.condition("Ready") is None


def test_finds_a_condition_by_type() -> None:
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "Serving",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    found = read({"status": {"conditions": [condition]}}).status.condition("Ready")
    assert found is not None
    assert found.status is ConditionStatus.TRUE


def test_writes_what_it_read() -> None:
    for row in GOOD:
        application = ServeApplication.from_manifest(row.manifest)
        written = application.model_dump(mode="json", by_alias=True, exclude_unset=True)
        assert ServeApplication.from_manifest(written, strict=True) == application


def test_values_cannot_be_changed() -> None:
    spec = read({}).spec
    with pytest.raises(ValidationError, match="frozen"):
        spec.replicas = 3


def test_resources_give_numbers() -> None:
    resources = Resources({"cpu": "250m", "memory": "1.5Gi", "nvidia.com/gpu": "0.5", "ephemeral-storage": "1k"})
    assert resources.cpu_milli == 250
    assert resources.memory_bytes == 3 * 2**29
    assert resources.others == {"nvidia.com/gpu": 0.5, "ephemeral-storage": 1000.0}


def test_resources_that_are_not_named_are_not_zero() -> None:
    assert Resources({}).cpu_milli is None
    assert Resources({}).memory_bytes is None


def test_a_spread_is_a_word_not_the_absence_of_one() -> None:
    (deployment,) = read({"spec": {"deployments": [{"name": "A", "spread": "None"}]}}).spec.deployments
    assert deployment.spread is Spread.NONE


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
def test_no_manifest_whatever_raises_anything_else(spec: object) -> None:
    with suppress(InvalidManifest):
        ServeApplication.from_manifest({**SMALLEST, "spec": spec})
