"""`@serve.multiplexed`: an async function that loads a model by its id becomes one that keeps the models it loaded."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any
from weakref import finalize, ref

from remora.multiplexing.models import Models
from remora.multiplexing.recency import UNLIMITED
from remora.receiver import is_method


def multiplexed(func: Callable[..., Any] | None = None, max_num_models_per_replica: int = 3) -> Any:
    """Keep the models that an async function or method loads, `max_num_models_per_replica` of them (-1: all).

    When another one comes, the least recently used goes: its `__del__` is run. Requests for a model
    (`handle.options(multiplexed_model_id=…)`, or the header `serve_multiplexed_model_id`) go to replicas that have it.
    Raises TypeError and ValueError for what cannot be decorated, and for another limit.
    """
    if isinstance(max_num_models_per_replica, bool) or not isinstance(max_num_models_per_replica, int):
        raise TypeError(f"max_num_models_per_replica must be an integer, and is {max_num_models_per_replica!r}")
    if max_num_models_per_replica != UNLIMITED and max_num_models_per_replica < 1:
        raise ValueError(
            f"max_num_models_per_replica must be positive, or -1 for no limit, and is {max_num_models_per_replica}"
        )

    def decorate(loader: Callable[..., Any]) -> Callable[..., Any]:
        _check(loader)
        kept = _Kept(loader, max_num_models_per_replica)

        @functools.wraps(loader)
        async def load(*args: Any, **kwargs: Any) -> Any:
            return await kept.model(args, kwargs)

        return load

    return decorate if func is None else decorate(func)


class _Kept:
    """The models of one multiplexed function, by instance. Pickles without them."""

    def __init__(self, loader: Callable[..., Any], limit: int) -> None:
        self._loader = loader
        self._limit = limit
        self._models: dict[int, Models] = {}
        """By the instance's id; 0 for a plain function."""

    def __reduce__(self) -> Any:
        return _Kept, (self._loader, self._limit)

    async def model(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the model that the call asks for."""
        instance = args[0] if is_method(self._loader, args) else None
        given = (*(args if instance is None else args[1:]), *kwargs.values())
        if len(given) != 1:
            raise TypeError(
                f"{self._loader.__qualname__} is multiplexed and takes the model id as its only argument; "
                f"it was given {len(given)} arguments"
            )
        (model_id,) = given
        if not isinstance(model_id, str):
            raise TypeError(f"The model ID must be a string: it is {type(model_id).__name__}")
        if not model_id:
            raise ValueError("The model ID cannot be empty: the request names no model")
        key = 0 if instance is None else id(instance)
        models = self._models.get(key)
        if models is None:
            load = self._loader if instance is None else _of(self._loader, instance)
            models = self._models[key] = Models(load, self._limit)
            if instance is not None:
                finalize(instance, self._models.pop, key, None).atexit = False
        return await models.model(model_id)


def _of(loader: Callable[..., Any], instance: Any) -> Callable[[str], Any]:
    """Return the loader of one instance, which does not keep that alive."""
    weak = ref(instance)
    return lambda model_id: loader(weak(), model_id)


def _check(loader: Any) -> None:
    if not callable(loader):
        raise TypeError(f"@serve.multiplexed takes a function or method, not {type(loader).__name__}")
    if not inspect.iscoroutinefunction(loader):
        name = getattr(loader, "__qualname__", repr(loader))
        raise TypeError(f"@serve.multiplexed can only decorate async functions or methods: {name} is not async")
    if not 1 <= len(inspect.signature(loader).parameters) <= 2:
        raise TypeError(f"{loader.__qualname__} is multiplexed and must take one argument, the model id")
