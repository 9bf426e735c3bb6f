"""The schema that the API server gets: structural, explained throughout, and small."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from annotated_types import Ge, MaxLen

from remora_api import crd
from remora_api.model import FreeForm, ListMap, Model, Rule, Unwritten
from remora_api.schema import Schema, model_schema, prose, type_schema


def walk(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Yield every schema in this one, with its path."""
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from walk(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from walk(schema[key], f"{path}[]")


ALL = dict(walk(crd.resource_schema()))
SPEC = {path: schema for path, schema in ALL.items() if path.startswith(".spec")}


def test_every_part_has_one_type() -> None:
    for path, schema in ALL.items():
        typeless = schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")
        assert "type" in schema or typeless, path
        assert not {"anyOf", "oneOf", "allOf", "$ref", "nullable", "title"} & schema.keys(), path
        assert not {"properties", "additionalProperties"} <= schema.keys(), path


def test_every_field_is_explained_in_sentences() -> None:
    for path, schema in ALL.items():
        if path in ("", ".metadata") or path.endswith("[]"):
            continue
        assert len(schema["description"]) > 8, path
        assert schema["description"].endswith((".", "…")), path


def test_no_explanation_is_about_the_code_behind_it() -> None:
    for path, schema in ALL.items():
        assert "pydantic" not in schema.get("description", ""), path


def test_everything_a_user_can_write_has_a_limit() -> None:
    """Or CEL's estimate of what a rule may cost goes through the roof."""
    for path, schema in SPEC.items():
        kind = schema.get("type")
        if kind == "string" and "enum" not in schema:
            assert "maxLength" in schema, path
        if kind == "array":
            assert "maxItems" in schema, path
        if kind == "object" and "additionalProperties" in schema:
            assert "maxProperties" in schema, path
        if kind == "integer":
            assert {"minimum", "maximum"} <= schema.keys(), path


def test_every_list_says_how_it_is_merged() -> None:
    for path, schema in ALL.items():
        if schema.get("type") != "array":
            continue
        kind = schema["x-kubernetes-list-type"]
        assert kind in ("map", "atomic"), path
        if kind == "map":
            assert set(schema["x-kubernetes-list-map-keys"]) <= set(schema["items"]["required"]), path


def test_only_args_user_config_and_pod_templates_are_free_form() -> None:
    free = {path for path, schema in ALL.items() if schema.get("x-kubernetes-preserve-unknown-fields")}
    assert free == {
        ".spec.args",
        ".spec.autoscalingPolicy.args",
        ".spec.graph.deployments[].args",
        ".spec.deployments[].userConfig",
        ".spec.deployments[].autoscaling.policy.args",
        ".spec.head.podTemplate.spec",
        ".spec.workers[].podTemplate.spec",
        ".spec.proxy.podTemplate.spec",
    }


def test_an_object_is_born_with_a_status_that_is_about_no_generation() -> None:
    assert ALL[".status"]["default"]["observedGeneration"] == -1
    assert ALL[".status.observedGeneration"]["default"] == -1


def test_an_autoscaler_finds_a_number_before_anyone_wrote_one() -> None:
    assert ALL[".spec.replicas"]["default"] == 1
    assert ALL[".status.replicas"]["default"] == 0


def test_worker_groups_have_no_default_that_an_apply_would_be_merged_with() -> None:
    assert "default" not in ALL[".spec.workers"]


def test_every_rule_says_the_way_out() -> None:
    for path, schema in ALL.items():
        for rule in schema.get("x-kubernetes-validations", ()):
            assert len(rule["message"]) > 20, path
            assert "\n" not in rule["message"] + rule["rule"], path


class Sample(Model):
    """A sample."""

    RULES = (Rule("self.low <= 3", "low must be at most 3", lambda it: it.low <= 3, field=".low"),)

    low: Annotated[int, Ge(1)] = 2
    """At least one."""
    names: Annotated[dict[str, Annotated[str, MaxLen(5)]], MaxLen(2)] | None = None
    """Names

    in two paragraphs."""
    anything: Annotated[Any, FreeForm(only_objects=False)] = None
    """Anything."""
    hidden: Annotated[int, Unwritten()] = 7
    """Known to readers."""


def test_renders_a_model() -> None:
    assert model_schema(Sample) == {
        "description": "A sample.",
        "type": "object",
        "properties": {
            "low": {
                "description": "At least one.",
                "type": "integer",
                "format": "int64",
                "minimum": 1,
                "default": 2,
            },
            "names": {
                "description": "Names\n\nin two paragraphs.",
                "type": "object",
                "additionalProperties": {"type": "string", "maxLength": 5},
                "maxProperties": 2,
            },
            "anything": {"description": "Anything.", "x-kubernetes-preserve-unknown-fields": True},
            "hidden": {"description": "Known to readers.", "type": "integer", "format": "int64"},
        },
        "x-kubernetes-validations": [
            {"rule": "self.low <= 3", "message": "low must be at most 3", "fieldPath": ".low"},
        ],
    }


def test_the_default_of_an_object_is_complete_as_its_rules_are_applied_to_it() -> None:
    class Outer(Model):
        """Outer."""

        sample: Sample = Sample()
        """A sample."""

    assert model_schema(Outer)["properties"]["sample"]["default"] == {"low": 2}


def test_a_list_without_a_key_is_replaced_as_a_whole() -> None:
    assert type_schema(tuple[str, ...])["x-kubernetes-list-type"] == "atomic"
    assert type_schema(Annotated[tuple[Sample, ...], ListMap("low")])["x-kubernetes-list-map-keys"] == ["low"]


@pytest.mark.parametrize("annotation", [int | str, set[str], complex, Any])
def test_refuses_what_no_structural_schema_can_say(annotation: Any) -> None:
    with pytest.raises(TypeError, match="structural schema"):
        type_schema(annotation)


def test_lines_that_an_editor_wrapped_become_one() -> None:
    assert prose("One\n    sentence.\n\n    Another\none.") == "One sentence.\n\nAnother one."
