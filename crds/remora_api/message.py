"""The base of all that travels between Remora's processes: a frozen value, and its JSON.

Structs of msgspec: every replica and proxy reads some, and importing pydantic takes half as long again as all else that
a replica imports. What people write, and may get wrong, is for the models of the resource; here types are checked when
JSON is read, and by mypy where values are made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

import msgspec

T = TypeVar("T")


class Unreadable(ValueError):
    """Not JSON, or not of the fields and types that are wanted; says where."""


def read(text: bytes | str, wanted: type[T]) -> T:
    """Return the message, or the dataclass that holds some, of its JSON; raise Unreadable."""
    try:
        return msgspec.json.decode(text, type=wanted)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable(f"no {wanted.__name__}: {error}") from error


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all messages: deaf to fields of a later version."""

    @classmethod
    def from_json(cls, text: bytes | str) -> Self:
        """Return the message of its JSON; raise Unreadable."""
        return read(text, cls)

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Self:
        """Return the message of parsed JSON; raise Unreadable."""
        try:
            return msgspec.convert(values, cls)
        except msgspec.ValidationError as error:
            raise Unreadable(f"no {cls.__name__}: {error}") from error

    def to_json(self) -> bytes:
        """Return its JSON."""
        return msgspec.json.encode(self)

    def to_plain(self) -> dict[str, Any]:
        """Return what its JSON would be parsed into."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    def but(self, **changes: Any) -> Self:
        """Return it with other values in these fields."""
        return msgspec.structs.replace(self, **changes)
