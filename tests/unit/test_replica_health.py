"""The first health check decides whether a replica has started."""

from __future__ import annotations

import asyncio

import pytest

from remora.replica.failure import DeploymentFailure
from remora.replica.health import complaint, first_check


class User:
    """Has what the test gives it for a health."""

    def __init__(self, wrong: str = "", takes_s: float = 0) -> None:
        self.wrong = wrong
        self.takes_s = takes_s

    async def check_health(self) -> None:
        await asyncio.sleep(self.takes_s)
        if self.wrong:
            raise DeploymentFailure(self.wrong)


async def test_what_is_healthy_has_started() -> None:
    await first_check(User(), "Model", 1)
    assert await complaint(User()) == ""


async def test_what_is_not_healthy_says_why() -> None:
    with pytest.raises(DeploymentFailure, match=r"^no store$"):
        await first_check(User("no store"), "Model", 1)
    assert await complaint(User("no store")) == "no store"


async def test_a_check_that_does_not_answer_is_no_start() -> None:
    with pytest.raises(DeploymentFailure, match=r"'Model': check_health did not answer within 0.01 s of the start"):
        await first_check(User(takes_s=60), "Model", 0.01)
