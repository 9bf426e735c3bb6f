"""A controller connects again where Ray's tables refuse it for a while, and says so when they go on refusing."""

from __future__ import annotations

import pytest

from remora.controller.connection import ClusterLost
from remora.controller.process import persistently


class Tables:
    """Refuse so many times."""

    def __init__(self, refusals: int) -> None:
        self.refusals, self.asked = refusals, 0

    def connect(self) -> None:
        self.asked += 1
        if self.asked <= self.refusals:
            raise ClusterLost("cannot connect to Ray at 10.0.0.1:6379")


async def test_it_connects_once_the_tables_are_ready() -> None:
    tables = Tables(refusals=2)
    await persistently(tables.connect, (0, 0, 0))
    assert tables.asked == 3


async def test_what_goes_on_refusing_is_an_error() -> None:
    tables = Tables(refusals=9)
    with pytest.raises(ClusterLost, match="cannot connect"):
        await persistently(tables.connect, (0, 0))
    assert tables.asked == 3
