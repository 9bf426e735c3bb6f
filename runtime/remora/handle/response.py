"""Responses: what `handle.remote()` returns before the other replica has answered."""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
from collections.abc import AsyncIterator, Coroutine, Generator, Iterator
from typing import Any

from remora.compat.reawait import wants_reference
from remora.errors import MisuseError, RemoraError, RequestCancelledError
from remora.handle import context, references
from remora.handle.runtime import Runtime


class DeploymentResponse:
    """One result to come. Await it, or call `result` outside of the event loop.

    Given as an argument to another `remote()`, it is replaced by its value when that is there.
    """

    def __init__(self, work: Coroutine[Any, Any, Any], runtime: Runtime, request_id: str) -> None:
        self._runtime = runtime
        self._request_id = request_id
        self._was_cancelled = False
        self._was_reference = False
        self._task: asyncio.Task[Any] | None = None
        self._future: concurrent.futures.Future[Any] | None = None
        if runtime.is_here():
            self._task = _started(work, runtime.loop)
        else:
            self._future = asyncio.run_coroutine_threadsafe(_under_request(work), runtime.loop)

    @property
    def request_id(self) -> str:
        """The id of the request that the call belongs to."""
        return self._request_id

    def __await__(self) -> Generator[Any, Any, Any]:
        """Return the value, or raise what the other replica's code raised.

        Code that awaits the result once more gets this response first, and the value then (`compat.reawait`).
        """
        if not self._was_reference and wants_reference(sys._getframe(1)):
            self._was_reference = True
            return self._itself()
        return self._value().__await__()

    def result(self, timeout_s: float | None = None, *, _skip_asyncio_check: bool = False) -> Any:
        """Wait in this thread for the value; raises TimeoutError after the time, and the call goes on."""
        if self._task is not None and self._runtime.is_here():
            raise MisuseError(
                "response.result() would block the event loop for ever: use `await response` in async code"
            )
        try:
            return self._threadsafe().result(timeout_s)
        except concurrent.futures.CancelledError:
            raise RequestCancelledError(self._request_id) from None
        except concurrent.futures.TimeoutError as error:
            if self._threadsafe().done():
                raise
            raise TimeoutError(f"no response within {timeout_s} s; it is still under way") from error

    async def _to_object_ref(self) -> Any:
        """Wait for the value and return a ray.ObjectRef to it, for a task or an actor of Ray's.

        Raises what the other replica's code raised, and MisuseError where no Ray is.
        """
        return references.refer(await self._value())

    def _to_object_ref_sync(self, _timeout_s: float | None = None, _allow_running_in_asyncio_loop: bool = False) -> Any:
        """Do as `_to_object_ref` in this thread; raises TimeoutError after the time."""
        return references.refer(self.result(_timeout_s))

    def cancel(self) -> None:
        """End the call, here and on the other replica. Nothing happens when it is done."""
        self._was_cancelled = True
        if self._future is not None:
            self._future.cancel()
        elif self._task is not None:
            if self._runtime.is_here():
                self._task.cancel()
            else:
                self._runtime.loop.call_soon_threadsafe(self._task.cancel)

    def cancelled(self) -> bool:
        """Return whether `cancel` was called; the call may have been complete by then."""
        return self._was_cancelled

    def _itself(self) -> Generator[Any, Any, DeploymentResponse]:
        yield from ()
        return self

    async def _value(self) -> Any:
        try:
            if self._task is not None and self._runtime.is_here():
                return await self._task
            return await asyncio.wrap_future(self._threadsafe())
        except asyncio.CancelledError:
            if self._was_cancelled and not _is_being_cancelled():
                raise RequestCancelledError(self._request_id) from None
            raise

    def _threadsafe(self) -> concurrent.futures.Future[Any]:
        """Return a future that other threads may wait for."""
        if self._future is None:
            assert self._task is not None
            self._future = asyncio.run_coroutine_threadsafe(_waited(self._task), self._runtime.loop)
        return self._future

    def __reduce__(self) -> Any:
        """Refuse to travel half-done."""
        raise RemoraError(
            "a response inside a list, dict or object cannot be passed on: pass it as an argument of its own, "
            "or await it"
        )


class DeploymentResponseGenerator:
    """Results to come, one after the other: iterate with `async for`, or with `for` outside of the event loop."""

    def __init__(self, items: AsyncIterator[Any], runtime: Runtime, request_id: str) -> None:
        self._items = items
        self._runtime = runtime
        self._request_id = request_id
        self._was_cancelled = False
        self._step: asyncio.Task[Any] | None = None
        """The item that is waited for."""

    @property
    def request_id(self) -> str:
        """The id of the request that the call belongs to."""
        return self._request_id

    def __await__(self) -> Generator[Any, Any, Any]:
        """Refuse: there are many results."""
        raise TypeError("a streaming response cannot be awaited: use `async for`, or `await anext(response)`")

    def result(self, timeout_s: float | None = None, **_: Any) -> Any:
        """Refuse: there are many results."""
        raise TypeError("a streaming response has no single result: iterate over it")

    def __aiter__(self) -> AsyncIterator[Any]:
        """Return itself."""
        return self

    async def __anext__(self) -> Any:
        """Return the next item."""
        return await self._runtime.run(self._next())

    def __iter__(self) -> Iterator[Any]:
        """Return itself."""
        return self

    def __next__(self) -> Any:
        """Wait in this thread for the next item."""
        if self._runtime.is_here():
            raise MisuseError("iterating over a response would block the event loop: use `async for` in async code")
        try:
            return asyncio.run_coroutine_threadsafe(self._next(), self._runtime.loop).result()
        except StopAsyncIteration:
            raise StopIteration from None

    async def _to_object_ref_gen(self) -> references.ReferenceGenerator:
        """Return ray.ObjectRefs to the items, for tasks or actors of Ray's, in the place of the items."""
        return references.ReferenceGenerator(self)

    def _to_object_ref_gen_sync(
        self, _timeout_s: float | None = None, _allow_running_in_asyncio_loop: bool = False
    ) -> references.ReferenceGenerator:
        """Do as `_to_object_ref_gen`; nothing is waited for before the first item is asked for."""
        return references.ReferenceGenerator(self)

    def cancel(self) -> None:
        """End the call, here and on the other replica. Nothing happens when it is done."""
        self._was_cancelled = True
        if self._runtime.is_here():
            _started(self._close(), self._runtime.loop)
        else:
            asyncio.run_coroutine_threadsafe(self._close(), self._runtime.loop)

    def cancelled(self) -> bool:
        """Return whether `cancel` was called."""
        return self._was_cancelled

    async def _next(self) -> Any:
        if self._was_cancelled:
            raise RequestCancelledError(self._request_id)
        task = self._step = asyncio.current_task()
        try:
            return await anext(self._items)
        except asyncio.CancelledError:
            # `_close` cancelled this step, in whichever task it is; unless that is being cancelled itself.
            if task is not None and self.cancelled() and task.uncancel() == 0:
                raise RequestCancelledError(self._request_id) from None
            raise
        finally:
            self._step = None

    async def _close(self) -> None:
        if self._step is not None:
            self._step.cancel()
            return
        close = getattr(self._items, "aclose", None)
        if close is not None:
            await close()


def _started(work: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> asyncio.Task[Any]:
    """Start the work as part of the current request, which owns it: it is cancelled with the request."""
    task = loop.create_task(work)
    calls = context.current().calls
    calls.add(task)
    task.add_done_callback(calls.discard)
    # A call whose response nobody awaits is not an error: user code may fire and forget.
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task


async def _under_request(work: Coroutine[Any, Any, Any]) -> Any:
    """Run work that a pool thread started as part of the request that the thread works on."""
    return await _started(work, asyncio.get_running_loop())


async def _waited(task: asyncio.Task[Any]) -> Any:
    return await task


def _is_being_cancelled() -> bool:
    """True when the awaiting task itself is being cancelled, not only what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
