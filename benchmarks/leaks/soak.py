"""One soak: a warm-up, what is held then, the requests, and what is held when they are over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from random import Random

from benchmarks.leaks import clients
from benchmarks.leaks.servers import Held, Watched, serve_proxy, serve_replica

CONNECTIONS = 16
AT_A_TIME = 16
REST_S = 20.0
"""Until everything has to be over; a keep-alive connection of a client that went is noticed at once."""
COUNTS = ("tasks", "streams", "waiting", "ongoing", "connections", "links", "files")


@dataclass(frozen=True, slots=True)
class Amount:
    """How many of each kind."""

    answered: int
    cancelled: int
    """Half by a client that goes while it waits, half by user code that cancels a call."""
    disconnected: int
    """By a client that goes while it reads a stream."""


@dataclass(frozen=True, slots=True)
class Found:
    """What each process held before and after."""

    before: Mapping[str, Held]
    after: Mapping[str, Held]
    seconds: float


async def soak(amount: Amount, warm_up: Amount, rng: Random) -> Found:
    """Run it; raises WrongAnswer when an answer was wrong. What differs is for the caller to judge."""
    with ExitStack() as stack:
        callee = stack.enter_context(Watched("callee", serve_replica, "Callee", {}))
        ports = {"Callee": callee.port}
        caller = stack.enter_context(Watched("caller", serve_replica, "Caller", ports))
        proxy = stack.enter_context(Watched("proxy", serve_proxy, {**ports, "Caller": caller.port}))
        watched = (proxy, caller, callee)
        await _until_served(proxy.port)
        await _ask(proxy.port, warm_up, rng)
        before = await _at_rest(watched, None)
        began = time.monotonic()
        await _ask(proxy.port, amount, rng)
        seconds = time.monotonic() - began
        return Found(before, await _at_rest(watched, before), seconds)


async def _ask(port: int, amount: Amount, rng: Random) -> None:
    by_client = amount.cancelled // 2
    # All at once, as their traces would be.
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(clients.ask(port, amount.answered, "/", b"ok", CONNECTIONS))
        tasks.create_task(clients.ask(port, amount.cancelled - by_client, "/cancel", b"cancelled", AT_A_TIME))
        tasks.create_task(clients.go_while_waiting(port, by_client, rng, AT_A_TIME))
        tasks.create_task(clients.go_mid_stream(port, amount.disconnected, rng, AT_A_TIME))


async def _until_served(port: int) -> None:
    async with asyncio.timeout(REST_S):
        while True:
            try:
                return await clients.ask(port, 1, "/", b"ok", 1)
            except* (clients.WrongAnswer, OSError):
                await asyncio.sleep(0.05)


async def _at_rest(watched: tuple[Watched, ...], before: Mapping[str, Held] | None) -> dict[str, Held]:
    """Return what is held once nothing is under way; what is still held after a while is returned, too."""
    end = time.monotonic() + REST_S
    last: dict[str, Held] = {}
    while True:
        held = {one.name: one.held() for one in watched}
        # Twice the same, as a connection that is about to close would count as one that is kept.
        is_over = all(
            _is_over(it, before[name]) if before else it.streams == it.ongoing == 0 and _same(it, last.get(name))
            for name, it in held.items()
        )
        if is_over or time.monotonic() > end:
            return held
        last = held
        await asyncio.sleep(0.3)


def _same(held: Held, other: Held | None) -> bool:
    return other is not None and all(getattr(held, name) == getattr(other, name) for name in COUNTS)


def _is_over(held: Held, before: Held) -> bool:
    return all(getattr(held, name) <= getattr(before, name) for name in COUNTS)
