"""Health: what the user's `check_health` says of a replica, as the controller hears it."""

from __future__ import annotations

import asyncio
from typing import Protocol

from remora.replica.failure import DeploymentFailure


class Checked(Protocol):
    """Has a health to ask for."""

    async def check_health(self) -> None:
        """Raise DeploymentFailure when something is wrong."""
        ...


async def first_check(user: Checked, deployment: str, timeout_s: float) -> None:
    """Ask a new replica for its health before anybody relies on it, as Ray Serve does.

    One that never is healthy would else be ready until its third check has failed, and its revision with it.
    Raises DeploymentFailure when the check raises, or does not answer within `timeout_s` seconds.
    """
    try:
        async with asyncio.timeout(timeout_s):
            await user.check_health()
    except TimeoutError as error:
        raise DeploymentFailure(
            f"deployment {deployment!r}: check_health did not answer within {timeout_s:g} s of the start"
        ) from error


async def complaint(user: Checked) -> str:
    """Return what the user's check says is wrong; empty when nothing is."""
    try:
        await user.check_health()
    except DeploymentFailure as error:
        return str(error)
    return ""
