"""Says of a name that Ray Serve has and Remora has not that it is missing, not misspelt.

`from ray.serve.config import GangSchedulingConfig` would else end with "cannot import name … from 'remora.…'".
"""

from __future__ import annotations

import dis
import sys
from types import ModuleType
from typing import Any, Final

from remora.compat.ray_serve_names import NAMES

_IMPORT_FROM: Final = dis.opmap["IMPORT_FROM"]


def explain(known_as: str, module: ModuleType) -> None:
    """Let a module, which stands for Ray Serve's `known_as`, say which of its names are not there yet."""
    modules = (other.removeprefix(f"{known_as}.") for other in NAMES if other.startswith(f"{known_as}."))
    names = NAMES.get(known_as, frozenset()) | frozenset(modules)
    before = module.__dict__.get("__getattr__")

    def __getattr__(name: str) -> Any:
        if before is not None:
            try:
                return before(name)
            except AttributeError:
                if name not in names:
                    raise
        if name not in names:
            raise AttributeError(f"module {known_as!r} has no attribute {name!r}")
        sentence = f"{known_as}.{name} is not supported by Remora yet: docs/reference/compatibility.md says why"
        # What an import statement raises is its own, and without this sentence, after any AttributeError.
        caller = sys._getframe(1)
        is_import = caller.f_code.co_code[caller.f_lasti] == _IMPORT_FROM
        raise ImportError(sentence, name=name) if is_import else AttributeError(sentence)

    module.__dict__["__getattr__"] = __getattr__
