"""What a router is given so that deployments may have request routers of their own; imports them when one does."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remora.router.pool import Chooser, Pool


def chooser(pool: Pool) -> Chooser:
    """Return what decides for the pool's deployment."""
    from remora.routing.policy import Policy

    return Policy(pool)
