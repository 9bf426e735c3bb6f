"""Values of user code as JSON, for HTTP responses.

Like FastAPI's encoder, which Ray Serve uses, without needing FastAPI: pydantic models, dataclasses, dates, enums,
UUIDs, sets, bytes, numpy and pandas objects, and plain objects by their attributes.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import decimal
import json
import pathlib
import uuid
from collections.abc import Mapping
from enum import Enum
from typing import Any


def encode(value: Any) -> bytes:
    """Return the value as JSON; raises TypeError or ValueError when it cannot be."""
    try:
        text = json.dumps(value, default=_simpler, ensure_ascii=False, separators=(",", ":"))
    except TypeError:
        # Keys other than str: rare, so looked for only then.
        text = json.dumps(_with_text_keys(value), default=_simpler, ensure_ascii=False, separators=(",", ":"))
    return text.encode()


def _simpler(value: Any) -> Any:
    """Return the value as something closer to JSON."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    match value:
        case Enum():
            return value.value
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case datetime.timedelta():
            return value.total_seconds()
        case decimal.Decimal():
            exponent = value.as_tuple().exponent
            return int(value) if isinstance(exponent, int) and exponent >= 0 else float(value)
        case uuid.UUID() | pathlib.PurePath():
            return str(value)
        case bytes() | bytearray() | memoryview():
            return _text(bytes(value))
        case set() | frozenset():
            return list(value)
        case Exception():
            return str(value)
        case Mapping():
            return dict(value)
        case _:
            return _by_its_methods(value)


def _by_its_methods(value: Any) -> Any:
    """Return what the objects of numpy, pandas and plain classes say of themselves."""
    for method in ("tolist", "to_list"):
        if hasattr(value, method):
            return getattr(value, method)()
    if hasattr(value, "to_dict"):
        return value.to_dict(orient="records") if hasattr(value, "columns") else value.to_dict()
    if isinstance(value, type) or not hasattr(value, "__dict__"):
        raise TypeError(f"{type(value).__name__} cannot be encoded as JSON")
    return vars(value)


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()


def _with_text_keys(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_key(key): _with_text_keys(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_with_text_keys(item) for item in value]
    return value


def _key(key: Any) -> Any:
    if isinstance(key, str | int | float | bool) or key is None:
        return key
    simpler = _simpler(key)
    return simpler if isinstance(simpler, str | int | float | bool) else str(simpler)
