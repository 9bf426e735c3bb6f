"""Route prefixes: the paths below which applications answer. Pure."""

from __future__ import annotations

from remora.errors import OptionError


def checked(prefix: str | None) -> str | None:
    """Return the prefix, "/" or "/a/b", or None for an application without a route; raise OptionError."""
    if prefix is None:
        return None
    wrong = (
        "must begin with '/'"
        if not prefix.startswith("/")
        else "must not end with '/'"
        if prefix.endswith("/") and prefix != "/"
        else "must not have wildcards"
        if "{" in prefix or "}" in prefix
        else ""
    )
    if wrong:
        raise OptionError(f"route_prefix {prefix!r} {wrong}: give a path like '/' or '/shop'")
    return prefix
