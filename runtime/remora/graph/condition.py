"""Condition: a question about a value in a graph, as data. `spec.graph` has this form; code may use functions too.

Pure. The operators and their names are those of Kubernetes' `matchExpressions`; the operands are text, as there, and
compared with numbers as numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from remora.errors import GraphError


class Operator(StrEnum):
    """How a field is compared with the operands."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"
    GT = "Gt"
    LT = "Lt"


@dataclass(frozen=True, slots=True)
class Condition:
    """`Condition("user.country", "In", ["de", "fr"])`: whether it holds of a value is `holds(value)`.

    `field` is a path of keys and list positions with dots between them; "" is the value itself. What is not there
    meets DoesNotExist and NotIn, and nothing else. Gt and Lt take one number, and hold of numbers only.
    Raises GraphError when operator and operands do not fit.
    """

    field: str
    operator: Operator | str
    values: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse what could never hold."""
        if self.operator not in tuple(Operator):
            raise GraphError(f"condition on {self.field!r}: unknown operator {self.operator!r}; known are {_KNOWN}")
        if self.operator in (Operator.EXISTS, Operator.DOES_NOT_EXIST):
            if self.values:
                raise GraphError(f"condition on {self.field!r}: {self.operator} takes no values")
        elif isinstance(self.values, str) or not self.values:
            raise GraphError(f"condition on {self.field!r}: {self.operator} takes a list of values")
        elif self.operator in (Operator.GT, Operator.LT) and (len(self.values) != 1 or _number(self.values[0]) is None):
            raise GraphError(f"condition on {self.field!r}: {self.operator} takes one number, for instance ['0.5']")

    def holds(self, value: Any) -> bool:
        """Return whether the value meets the condition."""
        found: object = _at(value, self.field)
        match self.operator:
            case Operator.EXISTS:
                return found is not _MISSING
            case Operator.DOES_NOT_EXIST:
                return found is _MISSING
            case Operator.IN:
                return found is not _MISSING and any(_equal(found, operand) for operand in self.values)
            case Operator.NOT_IN:
                return found is _MISSING or not any(_equal(found, operand) for operand in self.values)
            case _:
                return self._compares(found)

    def _compares(self, found: object) -> bool:
        limit = _number(self.values[0])
        if isinstance(found, bool) or not isinstance(found, int | float) or limit is None:
            return False
        return found > limit if self.operator == Operator.GT else found < limit


_KNOWN: Final = ", ".join(Operator)
_MISSING: Final = object()


def _at(value: Any, path: str) -> Any:
    """Return what stands at the path; `_MISSING` when there is nothing."""
    for part in path.split(".") if path else ():
        if isinstance(value, Mapping):
            value = value.get(part, _MISSING)
        elif isinstance(value, list | tuple) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return _MISSING
        if value is _MISSING:
            return _MISSING
    return value


def _equal(found: object, operand: str) -> bool:
    """Compare with text: a str as it is, a number as a number, true, false and null by their JSON."""
    if isinstance(found, str):
        return found == operand
    if found is None or isinstance(found, bool):
        return json.dumps(found) == operand.lower()
    return isinstance(found, int | float) and found == _number(operand)


def _number(text: Any) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None
