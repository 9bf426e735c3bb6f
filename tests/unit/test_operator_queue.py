"""The work queue: one worker a key, nothing lost, a failing key alone waits."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from remora_operator.queue import Backoff, WorkQueue


@pytest.fixture
async def queue() -> WorkQueue[str]:
    return WorkQueue(concurrency=2, backoff=Backoff(0.01, 0.05), clock=asyncio.get_running_loop().time)


async def run_until(queue: WorkQueue[str], work: Callable[[str], Awaitable[float | None]], done: asyncio.Event) -> None:
    running = asyncio.create_task(queue.run(work))
    async with asyncio.timeout(5):
        await done.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_key_added_many_times_is_worked_on_once(queue: WorkQueue[str]) -> None:
    seen, done = [], asyncio.Event()

    async def work(key: str) -> None:
        seen.append(key)
        if key == "last":
            done.set()

    for key in ("a", "a", "a", "last"):
        queue.add(key)
    await run_until(queue, work, done)
    assert seen == ["a", "last"]


async def test_a_key_added_during_its_work_is_worked_on_again_and_never_twice_at_once(queue: WorkQueue[str]) -> None:
    active, most, runs, done = 0, 0, 0, asyncio.Event()

    async def work(key: str) -> None:
        nonlocal active, most, runs
        active, runs = active + 1, runs + 1
        most = max(most, active)
        queue.add(key)
        await asyncio.sleep(0)
        active -= 1
        if runs == 3:
            done.set()

    queue.add("a")
    await run_until(queue, work, done)
    assert runs >= 3
    assert most == 1


async def test_no_more_than_the_concurrency_are_worked_on_at_once(queue: WorkQueue[str]) -> None:
    active, most, left, done = 0, 0, 10, asyncio.Event()

    async def work(_key: str) -> None:
        nonlocal active, most, left
        active += 1
        most = max(most, active)
        await asyncio.sleep(0)
        active, left = active - 1, left - 1
        if not left:
            done.set()

    for index in range(10):
        queue.add(str(index))
    await run_until(queue, work, done)
    assert most == 2


async def test_a_stuck_key_does_not_keep_the_others_waiting(queue: WorkQueue[str]) -> None:
    seen, done = set(), asyncio.Event()

    async def work(key: str) -> None:
        if key == "stuck":
            await asyncio.Event().wait()
        seen.add(key)
        if len(seen) == 20:
            done.set()

    queue.add("stuck")
    for index in range(20):
        queue.add(str(index))
    await run_until(queue, work, done)
    assert "stuck" not in seen


async def test_a_failing_key_is_tried_again_until_it_works(queue: WorkQueue[str]) -> None:
    tries, done = 0, asyncio.Event()

    async def work(_key: str) -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise ValueError("not yet")
        done.set()

    queue.add("a")
    await run_until(queue, work, done)
    assert tries == 4


async def test_work_may_ask_to_be_done_again_later(queue: WorkQueue[str]) -> None:
    tries, done = 0, asyncio.Event()

    async def work(_key: str) -> float | None:
        nonlocal tries
        tries += 1
        if tries == 2:
            done.set()
            return None
        return 0.01

    queue.add("a")
    await run_until(queue, work, done)


async def test_an_earlier_time_wins_and_a_forgotten_key_is_not_worked_on(queue: WorkQueue[str]) -> None:
    seen, done = [], asyncio.Event()

    async def work(key: str) -> None:
        seen.append(key)
        done.set()

    queue.add("a", after_s=60)
    queue.add("a", after_s=0.01)
    queue.add("gone")
    queue.forget("gone")
    await run_until(queue, work, done)
    assert seen == ["a"]


def test_backoff_doubles_up_to_its_limit() -> None:
    backoff = Backoff(0.5, 60)
    assert [backoff.delay_s(failures) for failures in (1, 2, 3, 10, 1000)] == [0.5, 1, 2, 60, 60]
