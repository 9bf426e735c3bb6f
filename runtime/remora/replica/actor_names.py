"""Names of Remora's actors in Ray. Those of deployment actors say whose they are, to a controller that starts anew too.

A replica's name is its id (`types.ReplicaId`).
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, unquote

NAMESPACE: Final = "remora"
"""Ray's namespace of all of them."""
_PREFIX: Final = "deployment-actor"

Owner = tuple[str, str, str]
"""Application, deployment, version: each version has actors of its own."""


def name(owner: Owner, actor: str) -> str:
    """Return the name of an actor; it never holds a '#', as replicas' names do."""
    return ":".join([_PREFIX, *(quote(part, safe="") for part in (*owner, actor))])


def owner(name: str) -> Owner | None:
    """Return whose actor has this name; None if it is no deployment actor's."""
    parts = name.split(":")
    if len(parts) != 5 or parts[0] != _PREFIX:
        return None
    application, deployment, version = (unquote(part) for part in parts[1:4])
    return application, deployment, version
