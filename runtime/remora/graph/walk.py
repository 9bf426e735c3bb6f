"""Finds what stands inside arguments: lists, tuples, sets, dicts and dataclasses, as deep as they go.

Pure. `describe` looks for Applications with it; an Application hidden in any other object is noticed by `definition`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

Found = TypeVar("Found")


def find(kind: type[Found] | tuple[type[Found], ...], value: object) -> Iterator[Found]:
    """Yield each object of the kind once, in the order in which they are written down."""
    seen: set[int] = set()
    stack = [value]
    while stack:
        current = stack.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, kind):
            yield current
        else:
            stack.extend(reversed(_parts(current)))


def _parts(value: Any) -> list[object]:
    if isinstance(value, Mapping):
        return [part for item in value.items() for part in item]
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, part.name, None) for part in fields(value)]
    return []
