"""Which application a path belongs to: the longest route prefix that matches whole segments. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from remora_api.wire import ApplicationRouting

MAX_CACHED_PATHS: Final = 4096


class RouteTable:
    """Immutable but for its cache; a new routing makes a new table."""

    __slots__ = ("_by_length", "_cache", "applications")

    def __init__(self, applications: Iterable[ApplicationRouting] = (), root_path: str = "") -> None:
        """``root_path`` stands before all prefixes: where a proxy in front of this one has put it."""
        self.applications = tuple(applications)
        by_prefix = [(root_path + normalized(app.route_prefix), app) for app in self.applications]
        self._by_length = sorted(by_prefix, key=lambda entry: len(entry[0]), reverse=True)
        self._cache: dict[str, tuple[str, ApplicationRouting] | None] = {}

    def match(self, path: str) -> tuple[str, ApplicationRouting] | None:
        """Return the prefix ("" for the root) and its application.

        Example: with ``/`` and ``/api``, ``/api/x`` and ``/api`` belong to ``/api``, ``/apix`` to ``/``.
        """
        try:
            return self._cache[path]
        except KeyError:
            found = self._search(path)
        if len(self._cache) >= MAX_CACHED_PATHS:
            self._cache.clear()
        self._cache[path] = found
        return found

    def _search(self, path: str) -> tuple[str, ApplicationRouting] | None:
        for prefix, application in self._by_length:
            if path.startswith(prefix) and (len(path) == len(prefix) or path[len(prefix)] == "/" or not prefix):
                return prefix, application
        return None


def normalized(prefix: str) -> str:
    """Return a prefix as ASGI's root_path has it: ``/api/`` and ``api`` are ``/api``; the root is empty."""
    stripped = prefix.strip("/")
    return f"/{stripped}" if stripped else ""
