"""Programs that serve and then ask: modules whose top level goes on after `serve.run`.

Such a program is run as a script, where the application is there to be asked. When it is imported instead, to be
built or to be served on a replica, `serve.run` does nothing (`remora.runner`), and what comes after it may fail: nobody
answers. A module that had called `serve.run` before it failed has said what it serves, and is kept as it is then.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType

from remora import runner

log = logging.getLogger("remora.serve")


def install() -> None:
    """From now on keep modules that fail after their `serve.run`. Harmless when that is so already."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        # In the place of Python's own for files: finders before it, the alias above all, come first as ever.
        found = sys.meta_path.index(PathFinder) if PathFinder in sys.meta_path else 0
        sys.meta_path.insert(found, _Finder())


class _Finder(MetaPathFinder):
    """Finds what Python finds, with another loader for source files."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or type(spec.loader) is not SourceFileLoader:
            return None
        spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    """Runs a module, and forgives what it does after `serve.run`."""

    def exec_module(self, module: ModuleType) -> None:
        try:
            super().exec_module(module)
        except (Exception, SystemExit) as error:
            importing = runner.importing()
            if importing is None or module.__name__ not in importing.ran:
                raise
            importing.ended[module.__name__] = f"{type(error).__name__}: {error}"
            log.info("module %s is used as far as it ran: after its serve.run it raised %r", module.__name__, error)
