"""Where something is in a user's code, as a pattern: what spec.importPath, graphs, policies and servicers share."""

from __future__ import annotations

from typing import Final

_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*"
_DOTTED: Final = rf"{_NAME}(\.{_NAME})*"

IDENTIFIER: Final = _NAME
"""A name as in Python."""
ATTRIBUTE: Final = rf"{_DOTTED}:{_DOTTED}"
"""module:attribute."""
MODULE_OR_ATTRIBUTE: Final = rf"{_DOTTED}(:{_DOTTED})?"
"""module:attribute, or a module alone."""
FUNCTION: Final = rf"{_DOTTED}[.:]{_NAME}"
"""module:function, or module.function as in Ray Serve's configurations."""
