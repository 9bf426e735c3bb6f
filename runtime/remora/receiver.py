"""Receiver: the `self` among the arguments of a decorated function, which may be a method or not.

`serve.batch` and `serve.multiplexed` keep state for each instance, and decorate before there is a class.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def is_method(func: Callable[..., Any], args: tuple[Any, ...]) -> bool:
    """Return whether the first argument is the instance that the function was called on as a method."""
    if not args:
        return False
    if next(iter(inspect.signature(func).parameters), None) == "self":
        return True
    found = getattr(type(args[0]), func.__name__, None)
    return found is not None and inspect.unwrap(found) is inspect.unwrap(func)
