"""The reference page of the resource, for people, rendered from the same schema that the API server has.

Pure. Every object gets a section of its own, with a table of its fields.
"""

from __future__ import annotations

from collections.abc import Iterator

from remora_api import meta
from remora_api.crd import COLUMNS, resource_schema
from remora_api.schema import Schema

_HEADER = f"""\
<!-- Generated from crds/remora_api by `python -m remora_api generate`. Change the models, not this file. -->
# {meta.KIND}

`apiVersion: {meta.API_VERSION}`, `kind: {meta.KIND}`, short name `{meta.SHORT_NAME}`.

The same text is in the cluster: `kubectl explain {meta.SHORT_NAME}.spec`.
"""


def reference() -> str:
    """Return the page as Markdown."""
    schema = resource_schema()
    properties = schema["properties"]
    name = properties["metadata"]["properties"]["name"]
    parts = [
        _HEADER,
        schema["description"],
        "",
        f"`metadata.name`: {_sentence(name['description'])} {_rules(name)}".rstrip(),
        "",
        *_section("spec", properties["spec"]),
        *_section("status", properties["status"]),
        *_words("Conditions", "Types in `status.conditions`.", meta.ConditionType),
        *_words("Reasons", "Reasons of conditions, and of events.", meta.Reason),
        *_columns(),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _section(path: str, schema: Schema) -> Iterator[str]:
    """Yield an object's heading, table and rules, then the sections of the objects in it."""
    yield f"## `{path}`"
    yield ""
    yield schema["description"]
    yield ""
    yield "| field | type | default | |"
    yield "|---|---|---|---|"
    for name, field in schema["properties"].items():
        yield _row(name, field, required=name in schema.get("required", ()))
    yield ""
    if rules := _rules(schema):
        yield rules
        yield ""
    for name, field in schema["properties"].items():
        suffix, inner = _object_in(field)
        if inner:
            yield from _section(f"{path}.{name}{suffix}", inner)


def _words(title: str, text: str, words: type[meta.Explained]) -> Iterator[str]:
    yield from (f"## {title}", "", text, "", "| word | |", "|---|---|")
    for word in words:
        yield f"| `{word.value}` | {_cell(word.explanation)} |"
    yield ""


def _columns() -> Iterator[str]:
    yield from (f"## Columns of `kubectl get {meta.SHORT_NAME}`", "", "| column | | shown |", "|---|---|---|")
    for column in COLUMNS:
        shown = "with `-o wide`" if "priority" in column else "always"
        yield f"| {column['name']} | {_cell(column['description'])} | {shown} |"
    yield ""


def _object_in(field: Schema) -> tuple[str, Schema]:
    """Return the object with fields of its own that a field holds, itself or in a list; else an empty schema."""
    if "properties" in field:
        return "", field
    items = field.get("items", {})
    return ("[]", items) if "properties" in items else ("", {})


def _row(name: str, field: Schema, *, required: bool) -> str:
    default = "required" if required else _default(field)
    inside = _rules(field.get("items", {})) if "properties" not in field.get("items", {}) else ""
    own = _rules(field) if "properties" not in field else ""
    text = " ".join(filter(None, (_sentence(field["description"]), own, inside)))
    return f"| `{name}` | {_type(field)} | {default} | {_cell(text)} |"


def _default(field: Schema) -> str:
    if "default" not in field or "properties" in field:
        return ""
    default = field["default"]
    if isinstance(default, dict):
        return "`{" + ", ".join(f"{key}: {value}" for key, value in default.items()) + "}`"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _type(field: Schema) -> str:
    """Name the type with its limits, as a person would."""
    if field.get("x-kubernetes-int-or-string"):
        return "quantity"
    if field.get("x-kubernetes-preserve-unknown-fields"):
        return "free-form map" if "type" in field else "any value"
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    match field["type"]:
        case "array":
            keys = field.get("x-kubernetes-list-map-keys")
            by = f" by {', '.join(keys)}" if keys else ""
            return f"list of {_type(field['items'])}{by}{_limits(field, 'Items')}"
        case "object" if "additionalProperties" in field:
            return f"map of {_type(field['additionalProperties'])}{_limits(field, 'Properties')}"
        case "integer":
            low, high = field.get("minimum"), field.get("maximum")
            return "integer" if low is None or high is None else f"integer, {low} to {high}"
        case "string" if field.get("format") == "date-time":
            return "time"
        case "string":
            return f"string{_limits(field, 'Length')}"
        case other:
            return str(other)


def _limits(field: Schema, what: str) -> str:
    most = field.get(f"max{what}")
    return f", at most {most}" if most is not None else ""


def _rules(schema: Schema) -> str:
    messages = [rule["message"] for rule in schema.get("x-kubernetes-validations", ())]
    return " ".join(_sentence(_capital(message)) for message in messages)


def _capital(text: str) -> str:
    """Begin with a capital letter, unless it begins with the name of a field."""
    first = text.split(" ", 1)[0]
    return text if first != first.lower() else text[0].upper() + text[1:]


def _sentence(text: str) -> str:
    return text if text.endswith((".", "…", ":")) else f"{text}."


def _cell(text: str) -> str:
    """Escape what would end a table's cell."""
    return text.replace("|", "\\|").replace("\n\n", "<br>").replace("\n", " ")
