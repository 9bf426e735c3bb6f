"""How a handle calls: what `handle.options(…)` takes, checked. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from remora.errors import OptionError

SERIALIZATIONS: Final = ("cloudpickle", "pickle", "msgpack", "orjson")

WITHOUT_EFFECT: Final = ("_prefer_local_routing",)
"""Accepted, and said to do nothing."""

_OF_TRANSPORT: Final = ("_by_reference", "request_serialization", "response_serialization")
"""Choices between Ray Serve's ways to send a call. Remora has one, which takes whatever any of them takes."""


@dataclass(frozen=True, slots=True)
class HandleOptions:
    """How a handle calls. Change it with `changed`, which checks."""

    method_name: str = "__call__"
    stream: bool = False
    multiplexed_model_id: str = ""
    session_id: str = ""


def changed(options: HandleOptions, given: Mapping[str, Any], deployment: str) -> HandleOptions:
    """Return the options with some of them given anew; raise OptionError, which is a ValueError and a TypeError."""
    values: dict[str, Any] = {}
    for option, value in given.items():
        where = f"handle to {deployment!r}: option {option}"
        match option:
            case "stream" | "_by_reference" | "_prefer_local_routing":
                if not isinstance(value, bool):
                    raise OptionError(f"{where} is {value!r}, and must be True or False")
            case "method_name" | "multiplexed_model_id" | "session_id":
                if not isinstance(value, str):
                    raise OptionError(f"{where} is {value!r}, and must be a string")
            case "request_serialization" | "response_serialization":
                if value not in SERIALIZATIONS:
                    raise OptionError(f"{where} is {value!r}, and must be one of {', '.join(SERIALIZATIONS)}")
            case _:
                known = ", ".join(HandleOptions.__dataclass_fields__)
                raise OptionError(f"handle to {deployment!r}: unknown option {option!r}; known are {known}")
        if option not in WITHOUT_EFFECT and option not in _OF_TRANSPORT:
            values[option] = value
    return replace(options, **values)
