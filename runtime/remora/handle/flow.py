"""Performs graphs: runs nodes and stages by handle calls, from the replica that the request is on.

`call` runs a graph that was written down with an InputNode; `through` runs the stages after a deployment. What does not
depend on each other runs at the same time; a node that several others take runs once; a branch that is not taken does
not run. Every call belongs to the request (`handle.context`): it ends with the request, and the first failure ends the
others.
"""

from __future__ import annotations

import asyncio
import inspect
import random
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response

from remora.compat.json import MissingItem
from remora.compat.stage import OpenRequest, StageInput
from remora.errors import GraphError
from remora.graph import stage as stages
from remora.graph.condition import Condition
from remora.graph.node import CallNode, GraphNode, InputNode, Part, Staged
from remora.graph.stage import Predicate, Stage
from remora.handle import context, runtime
from remora.handle.handle import DeploymentHandle
from remora.handle.response import DeploymentResponse

_chance: Final = random.Random()


class NoBranch(GraphError):
    """A switch has no branch for the value: its sender is to blame."""


@dataclass(frozen=True, slots=True)
class Input:
    """What a graph is called with."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    @property
    def is_one(self) -> bool:
        """Whether it is one value, which `inp` stands for."""
        return len(self.args) == 1 and not self.kwargs


def call(node: GraphNode, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> DeploymentResponse:
    """Start the graph up to this node; raise RemoraError when nothing serves in this process."""
    here = runtime.current()
    request_id = context.current().request_id or uuid.uuid4().hex
    return DeploymentResponse(_evaluated(node, Input(args, kwargs)), here, request_id)


async def through(following: Iterable[Stage], value: Any, deployment: str) -> Any:
    """Return what the stages make of the value. A starlette Response ends them: it is an answer already."""
    async with _run(None) as run:
        return await run.through(following, value, deployment)


async def _evaluated(node: GraphNode, given: Input) -> Any:
    async with _run(given) as run:
        return await run.value(node)


@asynccontextmanager
async def _run(given: Input | None) -> AsyncIterator[_Run]:
    run = _Run(given, _chance)
    try:
        yield run
    finally:
        await run.end()


class _Run:
    """One request's way through a graph."""

    __slots__ = ("_chance", "_given", "_nodes", "_tasks")

    def __init__(self, given: Input | None, chance: random.Random) -> None:
        self._given = given
        self._chance = chance
        self._nodes: dict[int, asyncio.Task[Any]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def end(self) -> None:
        """Cancel what is still under way, and wait until it has ended."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    # ── nodes ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def value(self, node: GraphNode) -> Any:
        """Return the node's value, worked out once however many others take it."""
        task = self._nodes.get(id(node))
        if task is None:
            task = self._nodes[id(node)] = self._started(self._computed(node))
        return await task

    async def _computed(self, node: GraphNode) -> Any:
        match node:
            case InputNode():
                return self._whole_input()
            case Part():
                return await self._part(node)
            case CallNode(application=target, method=method, args=args, kwargs=kwargs):
                handle = _running(target).options(method_name=method)
                given, named = await self._filled((args, dict(kwargs)))
                return await handle.remote(*given, **named)
            case Staged(of=of, stage=stage):
                return await self.through((stage,), await self.value(of), repr(of))
            case _:
                raise GraphError(f"{type(node).__name__} is no node of a graph")

    def _whole_input(self) -> Any:
        if self._given is None:
            raise GraphError("an InputNode has no value in the stages after an application")
        if not self._given.is_one:
            count = len(self._given.args) + len(self._given.kwargs)
            raise GraphError(
                f"the graph takes one argument and was called with {count}: "
                "take its parts with inp[0], inp[1] or inp.name, or pass one"
            )
        return self._given.args[0]

    async def _part(self, node: Part) -> Any:
        given = self._given
        if isinstance(node.of, InputNode) and given is not None and not given.is_one:
            arguments: Any = given.kwargs if isinstance(node.key, str) else given.args
            return _item(arguments, node.key)
        value = await self.value(node.of)
        if node.by_attribute and hasattr(value, node.key) and not isinstance(value, Mapping):
            return getattr(value, node.key)
        return _item(value, node.key)

    async def _filled(self, value: Any) -> Any:
        """Return the value with the nodes in it replaced by theirs, all at the same time."""
        match value:
            case GraphNode():
                return await self.value(value)
            case tuple() if type(value) is tuple:
                return tuple(await self._all([self._filled(item) for item in value]))
            case list():
                return await self._all([self._filled(item) for item in value])
            case dict():
                filled = await self._all([self._filled(item) for item in value.values()])
                return dict(zip(value, filled, strict=True))
            case _:
                return value

    # ── stages ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def through(self, following: Iterable[Stage], value: Any, before: str) -> Any:
        """Return what the stages, one after the other, make of the value."""
        for stage in following:
            if isinstance(value, Response):
                break
            if inspect.isgenerator(value) or inspect.isasyncgen(value):
                raise TypeError(
                    f"deployment {before!r} returned a generator, and the stage {stages.label(stage)!r} after it "
                    "needs a value: collect it first"
                )
            value = await self._staged(stage, value)
        return value

    async def _staged(self, stage: Stage, value: Any) -> Any:
        match stage:
            case DeploymentHandle():
                return await stage.remote(StageInput(value))
            case stages.Unchanged():
                return value
            case stages.Switch():
                return await self.through((await self._branch(stage, value),), value, stage.name or "switch")
            case stages.Ensemble(branches=branches, keys=keys, name=name):
                results = await self._all([self.through((one,), value, name or "ensemble") for one in branches])
                return dict(zip(keys, results, strict=True)) if keys else results
            case stages.Splitter(branches=branches, weights=weights, name=name):
                (chosen,) = self._chance.choices(branches, weights)
                return await self.through((chosen,), value, name or "splitter")
            case stages.Sequence(stages=inner, name=name):
                return await self.through(inner, value, name or "sequence")
            case GraphNode():
                return await self.value(stage)
            case _:
                raise GraphError(f"{stages.label(stage)!r} is bound and not running: stages run on replicas")

    async def _branch(self, switch: stages.Switch, value: Any) -> Stage:
        for case in switch.cases:
            if await self._holds(case.predicate, value):
                return case.stage
        if switch.otherwise is None:
            called = f" {switch.name!r}" if switch.name else ""
            raise NoBranch(f"the switch{called} has no case for this request, and no otherwise")
        return switch.otherwise

    async def _holds(self, predicate: Predicate, value: Any) -> bool:
        if isinstance(predicate, Condition):
            predicate = (predicate,)
        match predicate:
            case tuple():
                looked_at = value.content() if isinstance(value, OpenRequest) else value
                return all(condition.holds(looked_at) for condition in predicate)
            case DeploymentHandle():
                return bool(await predicate.remote(StageInput(value)))
            case GraphNode():
                return bool(await self.value(predicate))
            case _:
                return bool(await _asked(predicate, value))

    # ── tasks ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _all(self, work: list[Coroutine[Any, Any, Any]]) -> list[Any]:
        """Return the results of all; raise the first failure at once."""
        if len(work) == 1:
            return [await work[0]]
        return list(await asyncio.gather(*(self._started(one) for one in work)))

    def _started(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # One failure ends the run; what else fails until then has nobody to tell.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task


async def _asked(predicate: Callable[[Any], Any], value: Any) -> Any:
    """Return the predicate's answer: async code on the loop, plain code in a thread."""
    if inspect.iscoroutinefunction(predicate):
        return await predicate(value)
    answer = await asyncio.to_thread(predicate, value)
    return await answer if inspect.isawaitable(answer) else answer


def _running(target: Any) -> DeploymentHandle:
    if not isinstance(target, DeploymentHandle):
        raise GraphError(
            f"the graph calls {stages.label(target)!r}, which is bound and not running: serve.run(app) first"
        )
    return target


def _item(value: Any, key: Any) -> Any:
    """Return an item of the input; one that the caller did not send is its mistake."""
    try:
        return value[key]
    except (KeyError, IndexError, TypeError):
        raise MissingItem(key) from None
