"""Refers to decorated classes and functions by name.

`@serve.deployment` leaves a Deployment under the class's name, so pickle cannot find the class there and would copy
it by value, with all of its globals. A reference goes through the Deployment instead.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from remora.graph.deployment import Deployment


def of(func_or_class: Any) -> tuple[str, str] | None:
    """Return module and qualified name of the Deployment, or class of actors, that holds this very class or function.

    None if none does.
    """
    module, qualname = getattr(func_or_class, "__module__", None), getattr(func_or_class, "__qualname__", None)
    # What was defined in a script cannot be imported elsewhere: it travels by value.
    if not isinstance(module, str) or not isinstance(qualname, str) or module == "__main__":
        return None
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return (module, qualname) if found is not func_or_class and _plain(found) is func_or_class else None


def load(module: str, qualname: str) -> Any:
    """Return the class or function that `of` referred to."""
    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    return _plain(found)


def _plain(found: Any) -> Any:
    """Return what a decorator has been given, for @serve.deployment and @ray.remote."""
    if isinstance(found, Deployment):
        return found.func_or_class
    return getattr(found, "__ray_actor_class__", found)
