"""Policies in a replica: functions, coroutines and classes, and what is said of those that do not work."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from remora.replica.policy import AutoscalingContext, Policies, Wish

CONTEXT = AutoscalingContext("app", "A", 1, 2, 6, 4, 2, 1, 10, 0.0, policy_state={"calls": 1})


def by_queue(context: AutoscalingContext, per: float = 2) -> tuple[int, dict[str, int]]:
    return int(context.total_num_requests / per), {"calls": context.policy_state["calls"] + 1}


async def awaited(context: AutoscalingContext) -> int:
    return context.target_num_replicas + 1


class Counting:
    def __init__(self, step: int) -> None:
        self.step, self.calls = step, 0

    def __call__(self, context: AutoscalingContext) -> int:
        self.calls += self.step
        return self.calls


def broken(context: AutoscalingContext) -> int:
    raise KeyError("queue")


def nothing(context: AutoscalingContext) -> None:
    return None


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> str:
    made: Any = ModuleType("policies_of_a_test")
    for it in (by_queue, awaited, Counting, broken, nothing):
        setattr(made, it.__name__, it)
    monkeypatch.setitem(sys.modules, "policies_of_a_test", made)
    return "policies_of_a_test"


async def test_functions_coroutines_and_classes(module: str) -> None:
    policies = Policies()
    assert await policies.ask(f"{module}:by_queue", {}, CONTEXT) == Wish(3, {"calls": 2})
    assert await policies.ask(f"{module}:by_queue", {"per": 3}, CONTEXT) == Wish(2, {"calls": 2})
    assert await policies.ask(f"{module}:awaited", {}, CONTEXT) == Wish(3, {})
    assert await policies.ask(f"{module}:Counting", {"step": 2}, CONTEXT) == Wish(2, {})
    assert await policies.ask(f"{module}:Counting", {"step": 2}, CONTEXT) == Wish(4, {}), "constructed once"


async def test_what_does_not_work_is_a_sentence(module: str) -> None:
    policies = Policies()
    assert await policies.ask(f"{module}:broken", {}, CONTEXT) == f"policy {module}:broken: KeyError: 'queue'"
    assert "must return a number of replicas" in str(await policies.ask(f"{module}:nothing", {}, CONTEXT))
    assert "no attribute 'missing'" in str(await policies.ask(f"{module}:missing", {}, CONTEXT))
    assert "ModuleNotFoundError" in str(await policies.ask("no.such:thing", {}, CONTEXT))
