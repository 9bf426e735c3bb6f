"""The resource as a whole, and the way from a manifest to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from annotated_types import MaxLen, MinLen
from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from remora_api import meta
from remora_api.model import Int, Model, matches
from remora_api.v1alpha1.spec import ServeApplicationSpec
from remora_api.v1alpha1.status import ServeApplicationStatus

ApplicationName = Annotated[
    str,
    MinLen(1),
    MaxLen(40),
    matches(
        r"[a-z]([-a-z0-9]*[a-z0-9])?",
        "must be lower-case letters, digits and '-', with a letter first, for instance hello: Services take "
        "their names from it",
    ),
]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a manifest."""

    path: str
    """Of the field, for instance `spec.workers[0].minReplicas`."""
    message: str


class InvalidManifest(ValueError):
    """A manifest that is no ServeApplication; `problems` says where and why."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(f"{p.path}: {p.message}" for p in problems))
        self.problems = problems


class Metadata(Model):
    """What Remora reads of `metadata`."""

    name: ApplicationName
    """Name of the application, at most 40 characters: its pods and Services take their names from it."""
    namespace: str = "default"
    """The namespace."""
    uid: str = ""
    """Distinguishes this object from others that had its name."""
    generation: Int = 0
    """Grows with every change of the spec."""
    resource_version: str = ""
    """Changes with every change."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Labels."""
    annotations: dict[str, str] = Field(default_factory=dict)
    """Annotations."""
    managed_fields: tuple[dict[str, Any], ...] = ()
    """Who wrote which fields, as Kubernetes records it."""
    creation_timestamp: datetime | None = None
    """When it was created."""
    deletion_timestamp: datetime | None = None
    """When its deletion was asked for."""

    @model_validator(mode="before")
    @classmethod
    def _pass_over_the_rest(cls, values: Any) -> Any:
        """Leave the many fields that Kubernetes has, and Remora does not read, to Kubernetes."""
        known = {field.alias for field in cls.model_fields.values()}
        return {k: v for k, v in values.items() if k in known} if isinstance(values, dict) else values


class ServeApplication(Model):
    """A Python application with the programming model of Ray Serve: its code, its size, and how it is reached."""

    api_version: Literal["remora.dev/v1alpha1"] = "remora.dev/v1alpha1"
    """Always remora.dev/v1alpha1."""
    kind: Literal["ServeApplication"] = "ServeApplication"
    """Always ServeApplication."""
    metadata: Metadata
    """Name, namespace, labels and annotations."""
    spec: ServeApplicationSpec
    """The application as you want it."""
    status: ServeApplicationStatus = ServeApplicationStatus()
    """The application as it is; written by the operator."""

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any], *, strict: bool = False) -> Self:
        """Read a manifest as the API server would; raise InvalidManifest with the path of every field at fault.

        A field that this version does not know is passed over, as in a stored object, or refused when `strict`, as by
        `kubectl apply`.
        """
        try:
            return cls.model_validate(manifest, extra="forbid" if strict else "ignore", by_alias=True, by_name=False)
        except ValidationError as error:
            raise InvalidManifest(_problems(error.errors(include_url=False))) from error

    def __repr__(self) -> str:
        return f"<{meta.KIND} {self.metadata.namespace}/{self.metadata.name} generation {self.metadata.generation}>"


def _problems(errors: list[ErrorDetails]) -> tuple[Problem, ...]:
    """Say each once: pydantic calls a list too short as well when one of its items is wrong."""
    at_fault = [error["loc"] for error in errors]
    return tuple(
        _problem(error)
        for error in errors
        if error["type"] != "too_short" or not any(_is_below(loc, error["loc"]) for loc in at_fault)
    )


def _is_below(path: tuple[int | str, ...], other: tuple[int | str, ...]) -> bool:
    return len(path) > len(other) and path[: len(other)] == other


def _problem(error: ErrorDetails) -> Problem:
    """Say it in the API server's terms: the path as kubectl prints it."""
    path = ""
    for part in error["loc"]:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != "[key]":
            path += f".{part}"
    field = error.get("ctx", {}).get("field", "")
    message = "unknown field: correct its spelling or remove it" if error["type"] == "extra_forbidden" else error["msg"]
    return Problem((path + field).removeprefix("."), message)
