"""Settings that programs give as an object or as a dict, checked against their model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from remora.errors import OptionError


def as_dict(model: type[BaseModel], given: BaseModel | Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the settings as JSON has them; raise OptionError, which begins with `where`."""
    try:
        checked = given if isinstance(given, model) else model.model_validate(given)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'it'}: {e['msg']}" for e in error.errors())
        raise OptionError(f"{where} is wrong: {wrong}") from error
    return checked.model_dump(mode="json")
