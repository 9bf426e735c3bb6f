"""Values that others wait for."""

from __future__ import annotations

import asyncio

from remora.controller.published import Published


async def test_answers_at_once_who_has_not_got_it() -> None:
    value: Published[str] = Published("e")
    value.publish("a")
    assert await value.newer("e", 0, 0.01) == (1, "a")
    assert await value.newer("another life", 7, 0.01) == (1, "a")


async def test_waits_in_vain_while_nothing_moves() -> None:
    value: Published[str] = Published("e")
    assert await value.newer("", 0, 0.01) is None
    value.publish("a")
    assert not value.publish("a")
    assert await value.newer("e", 1, 0.01) is None


async def test_wakes_all_who_wait() -> None:
    value: Published[str] = Published("e")
    waiting = [asyncio.create_task(value.newer("e", 0, 5)) for _ in range(3)]
    await asyncio.sleep(0)
    value.publish("a")
    assert await asyncio.gather(*waiting) == [(1, "a")] * 3


async def test_lets_everyone_go_when_it_closes() -> None:
    value: Published[str] = Published("e")
    waiting = asyncio.create_task(value.newer("e", 0, 60))
    await asyncio.sleep(0)
    value.close()
    assert await waiting is None
