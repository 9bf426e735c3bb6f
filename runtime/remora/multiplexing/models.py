"""The models that one multiplexed function has loaded for one instance: loads, waits, and lets go of the eldest."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final
from weakref import WeakSet, finalize

from remora.multiplexing.holdings import HOLDINGS
from remora.multiplexing.recency import Recency

log = logging.getLogger("remora.serve")

Load = Callable[[str], Awaitable[Any]]


class Models:
    """Belongs to the event loop that it is first used on."""

    def __init__(self, load: Load, limit: int) -> None:
        self._load = load
        self._recency = Recency(limit)
        self._loading: dict[str, asyncio.Task[Any]] = {}
        # One at a time: a model is gone from memory before the next one comes.
        self._turn = asyncio.Lock()
        _ALL.add(self)
        finalize(self, HOLDINGS.changed, id(self), ()).atexit = False

    def __repr__(self) -> str:
        return f"<Models {', '.join(self._recency.ids)}>"

    async def model(self, model_id: str) -> Any:
        """Return the model, loading it first unless it is here; raises what loading it raises.

        Whoever asks for a model that is being loaded waits for it. Loading goes on when who asked first gives up.
        """
        if model_id in self._recency:
            return self._recency.use(model_id)
        task = self._loading.get(model_id)
        if task is None:
            task = self._loading[model_id] = asyncio.create_task(self._loaded(model_id))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            # Told before it is there: requests that follow shall not make another replica load it, too.
            self._tell()
        return await asyncio.shield(task)

    async def unload(self) -> None:
        """Let go of all models."""
        async with self._turn:
            while (dropped := self._recency.drop()) is not None:
                await _let_go(*dropped)
        self._tell()

    async def _loaded(self, model_id: str) -> Any:
        try:
            async with self._turn:
                while (surplus := self._recency.surplus()) is not None:
                    await _let_go(*surplus)
                model = await self._load(model_id)
                self._recency.add(model_id, model)
                return model
        finally:
            del self._loading[model_id]
            self._tell()

    def _tell(self) -> None:
        HOLDINGS.changed(id(self), tuple({*self._recency.ids, *self._loading}))


_ALL: Final[WeakSet[Models]] = WeakSet()


async def unload_all() -> None:
    """Let go of all models of this process."""
    for models in list(_ALL):
        await models.unload()


async def _let_go(model_id: str, model: Any) -> None:
    """Run the model's `__del__`, which may be async, now: references to it may live on."""
    finish = getattr(type(model), "__del__", None)
    if finish is None:
        return
    try:
        if inspect.iscoroutinefunction(finish):
            await finish(model)
        else:
            await asyncio.get_running_loop().run_in_executor(None, finish, model)
        # The interpreter would run it a second time.
        model.__class__ = type(type(model).__name__, (type(model),), {"__slots__": (), "__del__": lambda self: None})
    except Exception:
        log.exception("model %r: its __del__ failed", model_id)
