"""Packages that only some applications need: imported when used, and an error that names one that is missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from remora.errors import MissingPackage


def required(module: str, for_what: str, package: str) -> ModuleType:
    """Return the module; raise MissingPackage, which says what to install, where it is not there."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise MissingPackage(
            f"{for_what} need the Python package {module.partition('.')[0]}: install it with "
            f"`pip install '{package}'`, and into the image of the application's pods"
        ) from error
