"""Makes the user's object on the replica: imports its module, resolves handles, runs the constructor."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from remora.graph import definition
from remora.graph.definition import Definition
from remora.handle import DeploymentHandle
from remora.replica import failure


def load(data: bytes, application: str) -> Definition:
    """Return the definition, with handles in the place of bound deployments; raise DeploymentFailure."""
    with failure.of(application, "its definition cannot be loaded here"):
        return definition.loads(data, lambda name: DeploymentHandle(name, application))


async def construct(found: Definition) -> Any:
    """Return the function, or an instance of the class; raise DeploymentFailure when the constructor does.

    A plain constructor runs on the loop, in the main thread: nothing is served yet, and some libraries insist on the
    thread that they were first used in.
    """
    target = found.func_or_class
    if not inspect.isclass(target):
        return target
    with failure.of(found.deployment, f"the constructor of {target.__module__}.{target.__qualname__} failed"):
        kwargs = dict(found.kwargs or {})
        if not inspect.iscoroutinefunction(target.__init__):
            return target(*found.args, **kwargs)
        instance = target.__new__(target)
        initialise: Callable[..., Any] = target.__init__
        await initialise(instance, *found.args, **kwargs)
        return instance


async def destroy(instance: Any) -> None:
    """Run the user's `__del__`, which may be async, once."""
    finish = getattr(type(instance), "__del__", None)
    if finish is None:
        return
    result = finish(instance)
    if inspect.isawaitable(result):
        await result
    # The interpreter would run it a second time.
    quiet = type(type(instance).__name__, (type(instance),), {"__slots__": (), "__del__": lambda self: None})
    instance.__class__ = quiet
