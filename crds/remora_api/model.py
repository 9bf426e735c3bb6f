"""The language in which the resource is written down: a base model, rules, and marks for the schema.

A fact about a field stands once, beside the field. Three readers use it: `schema` writes it into the CRD, where the
API server enforces it; pydantic enforces it in `ServeApplication.from_manifest`, so that a manifest is refused for the
same reason without a cluster; and `reference` explains it to people.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    StrictBool,
    StrictInt,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from remora_api import quantity


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold of a value, told twice: in CEL for the API server and in Python for everyone else.

    `message` is what the user reads after the field's path: the fact, then the way out. `field` is the property, below
    the value, at which the API server points. As a mark on a type (`Annotated[str, Rule(…)]`) it is about that value;
    in a model's `RULES` it is about the whole object. Tests on a real API server hold both forms together.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool]
    field: str = ""

    def check(self, value: Any) -> Any:
        """Return the value, or raise with the message and the field at fault."""
        if not self.holds(value):
            # Braces would be placeholders to pydantic, hence the indirection.
            raise PydanticCustomError("rule", "{message}", {"message": self.message, "field": self.field})
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check after the type itself was checked."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))


def matches(pattern: str, message: str) -> Rule:
    """Return a rule for text: `pattern`, in the syntax that RE2 and Python share, must match all of it."""
    compiled = re.compile(pattern)
    return Rule(f"self.matches(r'^({pattern})$')", message, lambda text: compiled.fullmatch(text) is not None)


@dataclass(frozen=True, slots=True)
class ListMap:
    """A list whose items are known by one of their fields: unique, and merged item by item in server-side apply."""

    key: str = "name"

    def check(self, items: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the items, or raise at the first whose key an earlier one has."""
        seen: set[Any] = set()
        for index, item in enumerate(items):
            key = getattr(item, self.key)
            if key in seen:
                raise PydanticCustomError(
                    "rule",
                    "duplicate {key} {value}: each may be there once",
                    {"key": self.key, "value": repr(key), "field": f"[{index}]"},
                )
            seen.add(key)
        return items

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check after the items themselves were checked."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))


@dataclass(frozen=True, slots=True)
class AtomicMap:
    """A map with one owner: an apply replaces it as a whole instead of merging it with defaults of the past."""


@dataclass(frozen=True, slots=True)
class FreeForm:
    """Whatever the user puts there is kept as it is; with `only_objects`, if it is a map."""

    only_objects: bool = True


@dataclass(frozen=True, slots=True)
class Unwritten:
    """A default that only readers know. In the CRD it would be written into stored objects and be merged with."""


@dataclass(frozen=True, slots=True)
class IntOrText:
    """A number or text of this pattern."""

    pattern: str
    max_length: int


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _is_quantity(text: Any) -> Any:
    if isinstance(text, str):
        try:
            quantity.parse(text)
        except ValueError as error:
            raise PydanticCustomError("rule", "{message}", {"message": str(error), "field": ""}) from error
    return text


Quantity = Annotated[
    str,
    IntOrText(quantity.PATTERN, quantity.MAX_LENGTH),
    BeforeValidator(_is_quantity),
    BeforeValidator(_as_text),
]
"""An amount as in a container's resources, kept as text; `quantity` has the numbers."""


Int = StrictInt
"""A whole number; text that looks like one is refused, as by the API server."""

Bool = StrictBool
"""true or false; neither 1 nor "yes"."""


class Model(BaseModel):
    """Base of every object in the resource: frozen, camelCase outside, unknown fields refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
    )

    RULES: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, values: Any) -> Any:
        """Treat null as absent, as the API server does: no field of ours can be null."""
        return {k: v for k, v in values.items() if v is not None} if isinstance(values, dict) else values

    @model_validator(mode="after")
    def _obey_rules(self) -> Self:
        for rule in self.RULES:
            rule.check(self)
        return self
