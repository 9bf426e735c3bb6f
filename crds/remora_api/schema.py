"""Structural OpenAPI schemas from the models.

Pure, second step of the way from the models to the CRD: `v1alpha1` → schema → `crd` → files written by `__main__`.
pydantic's own JSON schema is not structural (`anyOf` with null, `additionalProperties: false`), and knows nothing of
list-maps and CEL; this renderer writes just what the API server takes, and refuses a model that it cannot express.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, TypeAlias, Union, get_args, get_origin

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import BaseModel, RootModel
from pydantic.fields import FieldInfo

from remora_api import docstrings
from remora_api.model import AtomicMap, FreeForm, IntOrText, ListMap, Rule, Unwritten

Schema: TypeAlias = dict[str, Any]

_SCALARS: dict[Any, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer", "format": "int64"},
    datetime: {"type": "string", "format": "date-time"},
}


def model_schema(model: type[BaseModel]) -> Schema:
    """Return the schema of a model, described by its docstring."""
    rules: Sequence[Rule] = getattr(model, "RULES", ())
    if issubclass(model, RootModel):
        root = model.model_fields["root"]
        schema = type_schema(root.annotation, root.metadata)
    else:
        fields = {info.alias or name: info for name, info in model.model_fields.items()}
        properties = {info.alias or name: field_schema(model, name) for name, info in model.model_fields.items()}
        schema = {"type": "object", "properties": properties}
        if required := [name for name, info in fields.items() if info.is_required()]:
            schema["required"] = required
    return {"description": prose(model.__doc__ or ""), **_with_rules(schema, rules)}


def field_schema(model: type[BaseModel], name: str) -> Schema:
    """Return the schema of one field: its type's, with the field's own description and default."""
    info = model.model_fields[name]
    schema = {**type_schema(info.annotation, info.metadata), "description": description(model, name)}
    default = _written_default(info)
    return schema if default is None else {**schema, "default": default}


def description(model: type[BaseModel], name: str) -> str:
    """Return what stands below a field."""
    return prose(docstrings.of_fields(model).get(name, ""))


def type_schema(annotation: Any, marks: Iterable[Any] = ()) -> Schema:
    """Return the schema of a type under the marks that its annotations put on it; TypeError if there is none."""
    annotation, marks = _unwrapped(annotation, marks)
    rules = [mark for mark in marks if isinstance(mark, Rule)]
    return _with_rules(_marked(_bare(annotation, marks), marks), rules)


def prose(docstring: str) -> str:
    """Return a docstring as one paragraph a line: what an editor wrapped, `kubectl explain` wraps again."""
    paragraphs = docstring.strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _unwrapped(annotation: Any, marks: Iterable[Any]) -> tuple[Any, tuple[Any, ...]]:
    """Take off Annotated and Optional, in any order, and keep the marks."""
    marks = tuple(marks)
    while True:
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            annotation, marks = arguments[0], (*marks, *arguments[1:])
        elif origin in (Union, types.UnionType):
            some = [argument for argument in arguments if argument is not type(None)]
            if len(some) != 1:
                raise TypeError(f"{annotation} is no structural schema: a field has one type")
            annotation = some[0]
        else:
            return annotation, marks


def _bare(annotation: Any, marks: tuple[Any, ...]) -> Schema:
    """Return the schema of a type without Annotated and Optional."""
    for mark in marks:
        if isinstance(mark, FreeForm):
            free: Schema = {"x-kubernetes-preserve-unknown-fields": True}
            return {"type": "object", **free} if mark.only_objects else free
        if isinstance(mark, IntOrText):
            return {"x-kubernetes-int-or-string": True, "pattern": mark.pattern, "maxLength": mark.max_length}
    if annotation in _SCALARS:
        return dict(_SCALARS[annotation])
    if get_origin(annotation) is tuple:
        return {"type": "array", "items": type_schema(get_args(annotation)[0])}
    if get_origin(annotation) is dict:
        return {"type": "object", "additionalProperties": type_schema(get_args(annotation)[1])}
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return {"type": "string", "enum": [member.value for member in annotation]}
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return model_schema(annotation)
    raise TypeError(f"{annotation} has no structural schema")


_LENGTHS = {
    "string": ("minLength", "maxLength"),
    "array": ("minItems", "maxItems"),
    "object": ("minProperties", "maxProperties"),
}


def _marked(schema: Schema, marks: tuple[Any, ...]) -> Schema:
    """Add what the marks say to the schema of the bare type."""
    added: Schema = {}
    for mark in marks:
        match mark:
            case Ge(least):
                added["minimum"] = least
            case Le(most):
                added["maximum"] = most
            case MinLen(least):
                added[_LENGTHS[schema["type"]][0]] = least
            case MaxLen(most):
                added[_LENGTHS[schema["type"]][1]] = most
            case ListMap(key):
                added |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}
            case AtomicMap():
                added["x-kubernetes-map-type"] = "atomic"
            case _:
                pass  # for pydantic, or seen before
    if schema.get("type") == "array" and "x-kubernetes-list-type" not in added:
        added["x-kubernetes-list-type"] = "atomic"
    return {**schema, **added}


def _with_rules(schema: Schema, rules: Sequence[Rule]) -> Schema:
    if not rules:
        return schema
    rendered = [
        {"rule": rule.cel, "message": rule.message} | ({"fieldPath": rule.field} if rule.field else {})
        for rule in rules
    ]
    return {**schema, "x-kubernetes-validations": [*schema.get("x-kubernetes-validations", ()), *rendered]}


def _written_default(info: FieldInfo) -> Any:
    """Return the default as JSON, or None when absence says it as well."""
    if info.is_required() or _is_unwritten(info):
        return None
    default = info.get_default(call_default_factory=True)
    if isinstance(default, BaseModel):
        return _as_json(default)
    return None if default in _SILENT else _as_json(default)


def _is_unwritten(info: FieldInfo) -> bool:
    return any(isinstance(mark, Unwritten) for mark in info.metadata)


_SILENT: tuple[Any, ...] = (None, "", (), {})
"""Defaults that absence says as well."""


def _as_json(value: Any) -> Any:
    """Return a default as JSON. An object's is complete: the API server holds it to the object's rules as it stands."""
    match value:
        case RootModel():
            return value.root
        case BaseModel():
            written = {name: info for name, info in type(value).model_fields.items() if not _is_unwritten(info)}
            fields = {info.alias or name: getattr(value, name) for name, info in written.items()}
            return {name: _as_json(inner) for name, inner in fields.items() if inner not in _SILENT}
        case StrEnum():
            return value.value
        case _:
            return value
