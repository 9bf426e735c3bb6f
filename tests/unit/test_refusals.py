"""Who is refused at once: a few in each turn of the loop, each told or counted exactly once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest

from remora.errors import BackPressureError
from remora.proxy.client import Client
from remora.proxy.refusals import A_TURN, CLIENT_GONE, Refusals
from remora.proxy.visit import Visit

FULL = BackPressureError(3, 3, retry_after_s=2, deployment="Main")


class Asking:
    """The client's side of one request."""

    def __init__(self, *, takes_answers: bool = True) -> None:
        self.answers: list[tuple[int, dict[bytes, bytes], bytes]] = []
        self.left_to_a_task = 0
        self.serving: object = self
        self._takes_answers = takes_answers

    def answer(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> bool:
        if self._takes_answers:
            self.answers.append((status, dict(headers), body))
        return self._takes_answers

    def start_task(self) -> None:
        self.left_to_a_task += 1

    def served(self, by: object) -> None:
        self.serving = None


def visit() -> Visit:
    return Visit({}, 0.0, "", None, [], "id", None, [(b"x-request-id", b"id")])


def line(recorded: list[tuple[int, str | None]]) -> Refusals:
    return Refusals(lambda visit, status, error: recorded.append((status, error)))


def add(refusals: Refusals, asking: Any) -> Any:
    return refusals.add(visit(), cast(Client, asking), FULL)


async def test_a_turn_tells_a_few_and_lets_the_loop_go_round() -> None:
    recorded: list[tuple[int, str | None]] = []
    refusals = line(recorded)
    for _ in range(3 * A_TURN):
        add(refusals, Asking())
    told = []
    for _ in range(4):
        told.append(len(recorded))
        await asyncio.sleep(0)
    assert told == [0, A_TURN, 2 * A_TURN, 3 * A_TURN]


class Connection:
    """Asks, when it is read, for what there is no room."""

    def __init__(self, refusals: Refusals, asking: Asking | None = None, error: Exception | None = None) -> None:
        self.read = 0
        self._refusals, self._asking, self._error = refusals, asking, error

    def read_on(self) -> None:
        self.read += 1
        if self._error is not None:
            raise self._error
        if self._asking is not None:
            add(self._refusals, self._asking)


async def test_a_turn_reads_a_few_and_refuses_them_at_once() -> None:
    recorded: list[tuple[int, str | None]] = []
    refusals = line(recorded)
    connections = [Connection(refusals, Asking()) for _ in range(3 * A_TURN)]
    for it in connections:
        refusals.put_off(it)
    seen = []
    for _ in range(4):
        seen.append((sum(it.read for it in connections), len(recorded)))
        await asyncio.sleep(0)
    assert seen == [(it, it) for it in (0, A_TURN, 2 * A_TURN, 3 * A_TURN)]
    assert not refusals.line


async def test_they_are_told_in_the_order_in_which_they_came() -> None:
    told: list[str] = []
    refusals = Refusals(lambda visit, status, error: told.append(visit.request_id))
    asked = {name: (replace(visit(), request_id=name), cast(Client, Asking()), FULL) for name in ("1", "2", "4")}

    class Second:
        def read_on(self) -> None:
            refusals.add(*asked["2"])

    refusals.add(*asked["1"])
    refusals.put_off(Second())
    refusals.put_off(Connection(refusals))
    refusals.add(*asked["4"])
    await asyncio.sleep(0)
    assert told == ["1", "2", "4"]


async def test_one_that_cannot_be_read_holds_up_nobody(caplog: pytest.LogCaptureFixture) -> None:
    recorded: list[tuple[int, str | None]] = []
    refusals = line(recorded)
    refusals.put_off(Connection(refusals, error=ValueError("a fault of ours")))
    add(refusals, Asking())
    for _ in range(3):
        await asyncio.sleep(0)
    assert [status for status, _ in recorded] == [503]
    assert "a fault of ours" in caplog.text


async def test_the_answer_says_what_the_deployment_says() -> None:
    recorded: list[tuple[int, str | None]] = []
    asking = Asking()
    add(line(recorded), asking)
    await asyncio.sleep(0)
    ((status, headers, body),) = asking.answers
    assert (status, body) == (503, str(FULL).encode())
    assert headers == {
        b"content-type": b"text/plain; charset=utf-8",
        b"content-length": str(len(body)).encode(),
        b"x-request-id": b"id",
        b"retry-after": b"2",
    }
    assert recorded == [(503, str(FULL))]
    assert asking.serving is None


async def test_a_client_that_goes_first_is_told_nothing_and_counted_once() -> None:
    recorded: list[tuple[int, str | None]] = []
    refusals = line(recorded)
    asking, other = Asking(), Asking()
    refused = add(refusals, asking)
    add(refusals, other)
    refused.cancel()
    await asyncio.sleep(0)
    assert asking.answers == []
    assert [status for status, _ in recorded] == [CLIENT_GONE, 503]


async def test_what_cannot_be_answered_at_once_is_left_to_a_task() -> None:
    recorded: list[tuple[int, str | None]] = []
    asking = Asking(takes_answers=False)
    add(line(recorded), asking)
    await asyncio.sleep(0)
    assert asking.left_to_a_task == 1
    assert recorded == []
