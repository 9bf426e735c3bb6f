"""Policies in a replica: functions, coroutines and classes, and what is said of those that do not work."""

from __future__ import annotations

import asyncio
import sys
import threading
from types import ModuleType
from typing import Any

import cloudpickle
import pytest

from remora.replica.policy import AutoscalingContext, Policies, PolicyQuestion, Situation, Wish
from remora.replica.stats import Series, TimeStampedValue

LIMITS = {"max_replicas": 10, "target_ongoing_requests": 2.5, "aggregation": "Max", "upscale_delay_s": 3.0}


def situation(deployment: str = "A", **values: Any) -> Situation:
    given: dict[str, Any] = {
        "deployment": deployment,
        "current": 1,
        "target": 2,
        "replicas": (f"app#{deployment}#0",),
        "requests": 6,
        "queued": 4,
        "least": 1,
        "most": 10,
        "scaled_up_at": None,
        "scaled_down_at": None,
        "limits": LIMITS,
    }
    return Situation(**{**given, **values})


def question(path: str, *about: Situation, of_application: bool = False, **args: Any) -> PolicyQuestion:
    return PolicyQuestion(
        import_path=path,
        args=args,
        application="app",
        situations=about or (situation(),),
        now=7.0,
        of_application=of_application,
    )


def state(wish: Wish) -> Any:
    return cloudpickle.loads(wish.state) if wish.state else {}


def by_queue(context: AutoscalingContext, per: float = 2) -> tuple[float, dict[str, int]]:
    return context.total_num_requests / per, {"calls": context.policy_state.get("calls", 0) + 1}


async def awaited(context: AutoscalingContext) -> int:
    return context.target_num_replicas + 1


class Counting:
    def __init__(self, step: int) -> None:
        self.step, self.calls = step, 0

    def __call__(self, context: AutoscalingContext) -> int:
        self.calls += self.step
        return self.calls


class Polls:
    """Begins a task in its first call, and says what the task has counted."""

    def __init__(self) -> None:
        self.polls = 0
        self.task: asyncio.Task[None] | None = None

    def __call__(self, context: AutoscalingContext) -> int:
        if self.task is None:
            self.task = asyncio.get_running_loop().create_task(self.poll())
        return self.polls

    async def poll(self) -> None:
        while True:
            self.polls += 1
            await asyncio.sleep(0)


def deepest(context: AutoscalingContext) -> tuple[float, dict[str, Any]]:
    depths = context.aggregated_metrics["depth"]
    return max(depths.values()), {
        "of": sorted(str(replica) for replica in depths),
        "raw": [it.value for it in context.raw_metrics["depth"][context.running_replicas[0]]],
    }


def broken(context: AutoscalingContext) -> int:
    raise KeyError("queue")


BEGUN, GO = threading.Event(), threading.Event()


def blocking(context: AutoscalingContext) -> int:
    BEGUN.set()
    GO.wait()
    return 1


def nothing(context: AutoscalingContext) -> None:
    return None


def everything(context: AutoscalingContext) -> tuple[int, dict[str, Any]]:
    config = context.config
    return 1, {
        "who": (context.deployment_id.name, context.app_name, context.deployment_name),
        "running": [str(it) for it in context.running_replicas],
        "requests": (context.total_num_requests, context.total_queued_requests, context.total_running_requests),
        "config": (config.max_replicas, config.get_target_ongoing_requests(), config.aggregation_function),
        "defaults": (config.upscale_delay_s, config.get_upscaling_factor(), config.downscale_delay_s),
        "time": context.current_time,
    }


def together(contexts: dict[Any, AutoscalingContext], spare: int = 0) -> Any:
    """As many of B as of A's requests, one of C, and nothing about D."""
    by = {id_.name: id_ for id_ in contexts}
    rounds = contexts[by["A"]].policy_state.get("rounds", 0)
    return {by["B"]: contexts[by["A"]].total_num_requests + spare, "C": 0.2}, {by["A"]: {"rounds": rounds + 1}}


def stray(contexts: dict[Any, AutoscalingContext]) -> Any:
    return {"Z": 1}


def one_number(contexts: dict[Any, AutoscalingContext]) -> Any:
    return 3


class Secret:
    pass


def own_class(context: AutoscalingContext) -> Any:
    return 1, {"mine": Secret()}


def large(context: AutoscalingContext) -> Any:
    return 1, {"much": b"." * (2 << 20)}


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> str:
    made: Any = ModuleType("policies_of_a_test")
    mine = (by_queue, awaited, Counting, broken, nothing, everything, together, stray, one_number, own_class, large)
    for it in (*mine, Polls, blocking, deepest):
        setattr(made, it.__name__, it)
    monkeypatch.setitem(sys.modules, "policies_of_a_test", made)
    return "policies_of_a_test"


async def one(policies: Policies, path: str, *about: Situation, **args: Any) -> Any:
    said = await policies.ask(question(path, *about, **args))
    return said if isinstance(said, str) else said["A"]


async def test_functions_coroutines_and_classes(module: str) -> None:
    policies = Policies()
    first = await one(policies, f"{module}:by_queue")
    assert (first.replicas, state(first)) == (3, {"calls": 1})
    second = await one(policies, f"{module}:by_queue", situation(state=first.state), per=4)
    assert (second.replicas, state(second)) == (2, {"calls": 2}), "rounded up, as Ray Serve does"
    assert (await one(policies, f"{module}:awaited")) == Wish(3)
    assert (await one(policies, f"{module}:Counting", step=2)) == Wish(2)
    assert (await one(policies, f"{module}:Counting", step=2)) == Wish(4), "constructed once"


async def test_a_policy_is_told_what_ray_serve_tells(module: str) -> None:
    said = await one(Policies(), f"{module}:everything")
    assert state(said) == {
        "who": ("A", "app", "A"),
        "running": ["app#A#0"],
        "requests": (6, 4, 2),
        "config": (10, 2.5, "max"),
        "defaults": (3.0, 1.0, 600.0),
        "time": 7.0,
    }


async def test_an_applications_policy_decides_for_all_and_remembers_for_each(module: str) -> None:
    policies = Policies()
    about = [situation(name) for name in "ABCD"]
    said = await policies.ask(question(f"{module}:together", *about, of_application=True, spare=2))
    assert not isinstance(said, str)
    assert {name: wish.replicas for name, wish in said.items()} == {"A": None, "B": 8, "C": 1, "D": None}
    about[0] = situation("A", state=said["A"].state)
    said = await policies.ask(question(f"{module}:together", *about, of_application=True))
    assert not isinstance(said, str)
    assert state(said["A"]) == {"rounds": 2}
    for name, wrong in (("stray", "something for 'Z'"), ("one_number", "must return a dict by deployment")):
        assert wrong in str(await policies.ask(question(f"{module}:{name}", *about, of_application=True)))


async def test_what_it_remembers_is_bytes_to_everybody_else_and_not_without_end(module: str) -> None:
    said = await one(Policies(), f"{module}:own_class")
    assert isinstance(said.state, bytes)
    assert isinstance(state(said)["mine"], Secret)
    assert "takes 2097" in await one(Policies(), f"{module}:large")
    # Of another version of the code, whose class is no longer there.
    again = await one(Policies(), f"{module}:by_queue", situation(state=b"cno_such_module\nThing\n."))
    assert state(again) == {"calls": 1}


async def test_what_does_not_work_is_a_sentence(module: str) -> None:
    policies = Policies()
    assert await one(policies, f"{module}:broken") == f"policy {module}:broken: KeyError: 'queue'"
    assert "must return a number of replicas" in await one(policies, f"{module}:nothing")
    assert "no attribute 'missing'" in await one(policies, f"{module}:missing")
    assert "ModuleNotFoundError" in await one(policies, "no.such:thing")


async def test_a_policy_may_have_tasks_of_its_own(module: str) -> None:
    policies = Policies()
    async with asyncio.timeout(10):
        while (await one(policies, f"{module}:Polls")).replicas == 0:
            pass


async def test_a_policy_that_blocks_holds_up_no_other(module: str) -> None:
    policies = Policies()
    blocked = asyncio.create_task(policies.ask(question(f"{module}:blocking")))
    try:
        async with asyncio.timeout(10):
            await asyncio.to_thread(BEGUN.wait)
            assert await policies.ask(question(f"{module}:awaited")) == {"A": Wish(3)}
    finally:
        GO.set()
    assert await blocked == {"A": Wish(1)}


async def test_what_replicas_record_reaches_the_policy(module: str) -> None:
    about = situation(replicas=("app#A#0", "app#A#1", "app#A#2"))
    recorded: dict[str, Series] = {
        "app#A#0": {"depth": (TimeStampedValue(1, 9), TimeStampedValue(2, 4))},
        "app#A#1": {"depth": (TimeStampedValue(1, 5),)},
        "other": {"depth": (TimeStampedValue(1, 50),)},
    }
    said = await Policies().ask(question(f"{module}:deepest", about), recorded)
    assert not isinstance(said, str), said
    assert said["A"].replicas == 9  # the most, as its limits say
    assert state(said["A"]) == {"of": ["app#A#0", "app#A#1"], "raw": [9, 4]}
