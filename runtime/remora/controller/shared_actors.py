"""Deployment actors: which versions of a deployment may have some, and which of these nobody needs any more.

Pure. Replicas start the actors of their version; the controller ends them with the last replica.
"""

from __future__ import annotations

from collections.abc import Iterable

from remora.controller import versions
from remora.controller.state import World
from remora.replica.actor_names import Owner


def unneeded(owners: Iterable[Owner], world: World) -> frozenset[Owner]:
    """Return those of which there is no replica, nor will be one."""
    held = {(it.application, it.deployment, it.version) for it in world.replicas.values()}
    wanted = {
        (application, deployment.name, deployment.version)
        for application, serving in world.serving.items()
        if application in world.targets
        for deployment in versions.resolve(serving)
    }
    return frozenset(owners) - held - wanted
