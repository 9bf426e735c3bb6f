"""Runs one method of the user's object: `async def` on the loop, `def` in the replica's threads, generators as streams.

`method_of` looks at a method once; `Method` is what it found, and how to call it.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from types import CoroutineType
from typing import Any, Final

from remora.compat import stage

_END: Final = object()
_NOT_AWAITABLE: Final = frozenset((str, bytes, int, float, bool, dict, list, tuple, type(None)))
"""The commonest results, for which there is no need to look further."""


@dataclass(frozen=True, slots=True)
class Method:
    """One method of a deployment, as its signature shows it."""

    function: Callable[..., Any]
    on_loop: bool
    """Async functions, and generators, whose code does not run yet when they are called."""
    takes_arguments: bool
    form: stage.Form
    """What it wants as a stage after `.then()`."""

    async def run(self, pool: Executor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what the method returns: a value, or a generator of either kind."""
        if self.on_loop:
            result = self.function(*args, **kwargs)
            if type(result) is CoroutineType:
                result = await result
                if type(result) in _NOT_AWAITABLE:
                    return result
        else:
            result = await in_thread(pool, self.function, *args, **kwargs)
        # An async function gives a coroutine; either kind may return a handle's response without awaiting it.
        for _ in range(2):
            if not inspect.isawaitable(result):
                break
            result = await result
        return result


def method_of(instance: Any, name: str) -> Method | None:
    """Return the method, or None when the object has none of that name. A function is its own `__call__`."""
    if inspect.isroutine(instance) or isinstance(instance, partial):
        function = instance if name == "__call__" else None
    else:
        function = getattr(instance, name, None)
    if not callable(function):
        return None
    return Method(function, _runs_on_loop(function), _takes_arguments(function), stage.form_of(function))


def methods_of(instance: Any) -> list[str]:
    """Return the names of the methods that a handle may call."""
    if inspect.isroutine(instance):
        return ["__call__"]
    names = [name for name in dir(instance) if not name.startswith("_") and callable(getattr(instance, name, None))]
    return (["__call__"] if "__call__" in dir(type(instance)) else []) + names


async def in_thread(pool: Executor, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run a plain function in the pool, with this task's context variables."""
    run = partial(contextvars.copy_context().run, _without_stop_iteration, function, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(pool, run)


def is_stream(value: Any) -> bool:
    """Return whether the value is a generator, of either kind."""
    return inspect.isgenerator(value) or inspect.isasyncgen(value)


async def items(value: Any, pool: Executor) -> AsyncGenerator[Any, None]:
    """Iterate over a generator of either kind, and close it when the iteration ends early."""
    if inspect.isasyncgen(value):
        try:
            async for item in value:
                yield item
        finally:
            await value.aclose()
        return
    # One context for all steps: a generator may set a variable in one step and read it in the next.
    own = contextvars.copy_context()
    loop = asyncio.get_running_loop()
    try:
        while (item := await loop.run_in_executor(pool, own.run, _next, value)) is not _END:
            yield item
    finally:
        loop.run_in_executor(pool, own.run, _close, value)


def _next(generator: Generator[Any, Any, Any]) -> Any:
    return next(generator, _END)


def _close(generator: Generator[Any, Any, Any]) -> None:
    # Still running in its thread when the iteration was cancelled during a step: it ends there.
    if inspect.getgeneratorstate(generator) != inspect.GEN_RUNNING:
        generator.close()


def _without_stop_iteration(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call the function. A StopIteration cannot pass through a future: the waiting task would never wake."""
    try:
        return function(*args, **kwargs)
    except StopIteration as error:
        raise RuntimeError("user code raised StopIteration") from error


def _runs_on_loop(function: Callable[..., Any]) -> bool:
    if getattr(function, "__remora_on_loop__", False):
        return True
    inner = function.func if isinstance(function, partial) else function
    candidates = [inner] if inspect.isroutine(inner) else [inner, getattr(inner, "__call__", None)]  # noqa: B004
    return any(
        check(candidate)
        for candidate in candidates
        for check in (inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isgeneratorfunction)
    )


def _takes_arguments(function: Callable[..., Any]) -> bool:
    try:
        return bool(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return True
