"""`@serve.batch`: callers give one item each and get one result; the function gets lists and returns a list.

An async generator yields lists; each caller iterates over its own part of them.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Final
from weakref import WeakKeyDictionary

from remora.batching.gathering import Limits
from remora.batching.queue import BatchQueue, Call, Settings
from remora.errors import NoList, RemoraError
from remora.handle import context as request_context
from remora.receiver import is_method

_SENTINELS: Final = (StopIteration, StopAsyncIteration)
"""In the place of a caller's item these end its iteration, while that of the others goes on."""


def batch(
    _func: Callable[..., Any] | None = None,
    /,
    max_batch_size: int = 10,
    batch_wait_timeout_s: float = 0.01,
    max_concurrent_batches: int = 1,
    batch_size_fn: Callable[[list[Any]], int] | None = None,
) -> Any:
    """Gather calls of an async function, method or async generator into batches.

    A batch starts when it has `max_batch_size` items, or when its oldest item has waited `batch_wait_timeout_s`
    seconds; at most `max_concurrent_batches` run at a time. `batch_size_fn` measures a list of items in another unit
    than their number. The decorated function has the setters `set_max_batch_size` and `set_batch_wait_timeout_s`.

    Raises TypeError and ValueError for arguments of a wrong type or value, and TypeError for a plain function.
    """
    if _func is not None:
        _check_function(_func)
    settings = Settings(
        Limits(_max_size(max_batch_size), _wait_s(batch_wait_timeout_s)),
        _concurrent(max_concurrent_batches),
        batch_size_fn,
    )
    if batch_size_fn is not None and not callable(batch_size_fn):
        raise TypeError(f"batch_size_fn must be a function or None, not {type(batch_size_fn).__name__}")

    def decorate(func: Callable[..., Any]) -> Callable[..., Any]:
        _check_function(func)
        # One decorator may be used for several functions: each has its own settings.
        return _decorated(func, Settings(settings.limits, settings.max_concurrent, settings.measure))

    return decorate if _func is None else decorate(_func)


class _Batched:
    """One batched function: its settings, and its queue on each event loop. Pickles as its settings."""

    def __init__(self, func: Callable[..., Any], settings: Settings) -> None:
        self._func = func
        self._settings = settings
        self._signature = inspect.signature(func)
        self._queues: WeakKeyDictionary[asyncio.AbstractEventLoop, BatchQueue] = WeakKeyDictionary()

    def __reduce__(self) -> Any:
        return _Batched, (self._func, self._settings)

    def enqueue(self, args: tuple[Any, ...], kwargs: dict[str, Any], outcome: asyncio.Future[Any]) -> Call:
        """Let a call wait; raises TypeError when the function could not be called so."""
        # Bound, so that what one call gives by position and another by name comes together.
        bound = self._signature.bind(*args, **kwargs)
        first = 1 if is_method(self._func, args) else 0
        model_id = request_context.current().multiplexed_model_id
        call = Call(args[0] if first else None, bound.args[first:], bound.kwargs, model_id, outcome)
        self._queue().put(call)
        return call

    def discard(self, call: Call) -> None:
        """Forget a call that nobody waits for."""
        self._queue().discard(call)

    def set_limits(self, limits: Limits) -> None:
        """Use other limits from now on, also for calls that wait already."""
        self._settings.limits = limits
        for loop, queue in list(self._queues.items()):
            if not loop.is_closed():
                loop.call_soon_threadsafe(queue.wake)

    @property
    def limits(self) -> Limits:
        """The limits now."""
        return self._settings.limits

    def _queue(self) -> BatchQueue:
        loop = asyncio.get_running_loop()
        queue = self._queues.get(loop)
        if queue is None:
            queue = self._queues[loop] = BatchQueue(self._settings, self._run, loop)
        return queue

    async def _run(self, calls: Sequence[Call]) -> None:
        request_context.enter(request_context.current().for_batch())
        try:
            positional, by_name = _columns(calls)
            instance = calls[0].instance
            result = (
                self._func(*positional, **by_name) if instance is None else self._func(instance, *positional, **by_name)
            )
            if inspect.isasyncgen(result):
                await self._hand_out_items(result, calls)
            else:
                values = self._checked(await result, calls)
                for call, value in zip(calls, values, strict=True):
                    if not call.outcome.done():
                        call.outcome.set_result(value)
        except Exception as error:  # noqa: BLE001 - the user's code may raise anything: every caller is told
            _fail(calls, error)
        finally:
            _fail(calls, RemoraError("the batch was cancelled"))

    async def _hand_out_items(self, produced: Any, calls: Sequence[Call]) -> None:
        """Give each caller its part of each list; its outcome is a chain of `(item, the next outcome)`."""
        loop = asyncio.get_running_loop()
        live: dict[int, Call] = dict(enumerate(calls))
        async with aclosing(produced) as lists:
            async for values in lists:
                items = self._checked(values, calls)
                for index, call in list(live.items()):
                    if call.outcome.cancelled() or any(items[index] is sentinel for sentinel in _SENTINELS):
                        _end(live.pop(index))
                        continue
                    following: asyncio.Future[Any] = loop.create_future()
                    current, call.outcome = call.outcome, following
                    current.set_result((items[index], following))
                if not live:
                    return
        for call in live.values():
            _end(call)

    def _checked(self, values: Any, calls: Sequence[Call]) -> Sequence[Any]:
        name = self._func.__qualname__
        try:
            length = len(values)
        except TypeError:
            raise NoList(
                f"batched function {name} returned {type(values).__name__}, and must return a list with one result "
                f"for each of the {len(calls)} items it was given"
            ) from None
        if length != len(calls):
            raise RemoraError(
                f"Batched function {name} doesn't preserve batch size: it was given lists of length {len(calls)} "
                f"and returned a list of length {length}"
            )
        found: Sequence[Any] = values
        return found


def _decorated(func: Callable[..., Any], settings: Settings) -> Callable[..., Any]:
    batched = _Batched(func, settings)

    @functools.wraps(func)
    async def call_one(*args: Any, **kwargs: Any) -> Any:
        outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        call = batched.enqueue(args, kwargs, outcome)
        try:
            return await outcome
        except asyncio.CancelledError:
            batched.discard(call)
            raise

    @functools.wraps(func)
    def iterate_one(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        return _iterate(batched, batched.enqueue(args, kwargs, outcome))

    wrapper: Any = iterate_one if inspect.isasyncgenfunction(func) else call_one
    wrapper.__remora_on_loop__ = True
    wrapper.set_max_batch_size = functools.partial(_set_max_batch_size, batched)
    wrapper.set_batch_wait_timeout_s = functools.partial(_set_batch_wait_timeout_s, batched)
    wrapper._get_max_batch_size = functools.partial(_get_max_batch_size, batched)
    wrapper._get_batch_wait_timeout_s = functools.partial(_get_batch_wait_timeout_s, batched)
    decorated: Callable[..., Any] = wrapper
    return decorated


async def _iterate(batched: _Batched, call: Call) -> AsyncIterator[Any]:
    outcome = call.outcome
    try:
        while (step := await outcome) is not None:
            item, outcome = step
            yield item
    finally:
        # Whoever stops early: the batch has one reader less, and ends when it has none.
        outcome.cancel()
        batched.discard(call)


def _set_max_batch_size(batched: _Batched, new_max_batch_size: int) -> None:
    """Let batches have so many items at most."""
    batched.set_limits(Limits(_max_size(new_max_batch_size), batched.limits.wait_s))


def _set_batch_wait_timeout_s(batched: _Batched, new_batch_wait_timeout_s: float) -> None:
    """Let the oldest item of a batch wait for so many seconds at most."""
    batched.set_limits(Limits(batched.limits.max_size, _wait_s(new_batch_wait_timeout_s)))


def _get_max_batch_size(batched: _Batched) -> int:
    return batched.limits.max_size


def _get_batch_wait_timeout_s(batched: _Batched) -> float:
    return batched.limits.wait_s


def _columns(calls: Sequence[Call]) -> tuple[list[list[Any]], dict[str, list[Any]]]:
    """Return the arguments of all calls by parameter: what one call gave, each has to give."""
    first = calls[0]
    if any(len(call.args) != len(first.args) or call.kwargs.keys() != first.kwargs.keys() for call in calls):
        raise TypeError("calls in one batch gave different parameters: give the same ones in every call")
    by_name = {name: [call.kwargs[name] for call in calls] for name in first.kwargs}
    return [list(column) for column in zip(*(call.args for call in calls), strict=True)], by_name


def _end(call: Call) -> None:
    """Let the iteration of one caller end."""
    if not call.outcome.done():
        call.outcome.set_result(None)


def _fail(calls: Sequence[Call], error: Exception) -> None:
    # A StopIteration cannot pass through a future.
    if isinstance(error, StopIteration):
        error = RuntimeError("the batched function raised StopIteration")
    for call in calls:
        if not call.outcome.done():
            call.outcome.set_exception(error)


def _check_function(func: Any) -> None:
    if not callable(func):
        raise TypeError(f"@serve.batch takes a function or method, not {type(func).__name__}")
    if not (inspect.iscoroutinefunction(func) or inspect.isasyncgenfunction(func)):
        name = getattr(func, "__qualname__", repr(func))
        raise TypeError(f"Functions decorated with @serve.batch must be 'async def': {name} is not")


def _max_size(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or int(value) != value:
        raise TypeError(f"max_batch_size must be an integer >= 1, and is {value!r}")
    if value < 1:
        raise ValueError(f"max_batch_size must be an integer >= 1, and is {value!r}")
    return int(value)


def _wait_s(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"batch_wait_timeout_s must be a number of seconds >= 0, and is {value!r}")
    if not value >= 0:
        raise ValueError(f"batch_wait_timeout_s must be a number of seconds >= 0, and is {value!r}")
    return float(value)


def _concurrent(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise TypeError(f"max_concurrent_batches must be an integer >= 1, and is {value!r}")
    return value
