"""The Ray actor in which one deployment actor lives: a process like a replica's, without requests.

The user's class is read only once the process has its code and environment, and knows `ray.serve` as Remora.
"""

from __future__ import annotations

import asyncio
import inspect
import pickle
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from remora.errors import RemoraError
from remora.graph.shared_actor import SharedActor
from remora.handle.identity import DeploymentID
from remora.replica.actor_names import Owner
from remora.replica.context import DeploymentActorContext
from remora.replica.settings import ReplicaSettings, take_on


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorPlan:
    """Which actor it is, and what its process is given: as a replica's."""

    data: bytes
    """A pickled SharedActor."""
    name: str
    owner: Owner
    code: str
    """Digest of the code bundle, empty without one."""
    controller_url: str
    env: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = ""
    worker_env: Mapping[str, str] = field(default_factory=dict)


_here: DeploymentActorContext | None = None


def current() -> DeploymentActorContext:
    """Return which deployment actor this code runs in; raise RemoraError outside of any."""
    if _here is None:
        raise RemoraError("serve.get_deployment_actor_context() works in a deployment actor's methods only")
    return _here


def read(data: bytes) -> SharedActor:
    """Return the actor of a definition; imports the user's module. Raises RemoraError where it is something else."""
    found = pickle.loads(data)  # noqa: S301 - of a definition, which came over a signed connection
    if not isinstance(found, SharedActor):
        raise RemoraError(f"a deployment actor was expected, and the bytes hold {type(found).__name__}")
    return found


class Host:
    """Constructs the user's object. `host` adds its methods, as Ray looks for them in the class."""

    def __init__(self, plan: ActorPlan) -> None:
        _prepare(plan)
        shared = read(plan.data)
        self._instance = shared.cls(*shared.args, **shared.kwargs)


def host(cls: type) -> type:
    """Return the class of an actor that has the methods of the user's class."""
    functions = inspect.getmembers(cls, inspect.isroutine)
    named = [(name, function) for name, function in functions if not name.startswith("__") or name == "__call__"]
    return type(cls.__name__, (Host,), {name: _forward(name, function) for name, function in named})


def _forward(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that calls that of the instance; of the same kind, as Ray runs each kind in its own way."""
    forward: Any
    if inspect.isasyncgenfunction(function):

        async def forward(self: Host, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            async for item in getattr(self._instance, name)(*args, **kwargs):
                yield item

    elif inspect.iscoroutinefunction(function):

        async def forward(self: Host, *args: Any, **kwargs: Any) -> Any:
            return await getattr(self._instance, name)(*args, **kwargs)

    elif inspect.isgeneratorfunction(function):

        def forward(self: Host, *args: Any, **kwargs: Any) -> Iterator[Any]:
            yield from getattr(self._instance, name)(*args, **kwargs)

    else:

        def forward(self: Host, *args: Any, **kwargs: Any) -> Any:
            return getattr(self._instance, name)(*args, **kwargs)

    forward.__name__ = name
    # What @ray.method says of it: how many results, which concurrency group.
    vars(forward).update({key: value for key, value in vars(function).items() if key.startswith("__ray_")})
    return cast(Callable[..., Any], forward)


def _prepare(plan: ActorPlan) -> None:
    """Make this process one of the application's."""
    global _here
    from remora.replica.program import take_part

    take_on(plan.worker_env)
    settings = ReplicaSettings.read()
    # A loop of its own: the constructor of an asynchronous actor stands on the process's.
    with ThreadPoolExecutor(1) as elsewhere:
        folder = elsewhere.submit(asyncio.run, _code(plan, settings)).result()
    take_part(folder, plan.env, plan.working_dir, plan.controller_url, settings.data_key)
    application, deployment, version = plan.owner
    _here = DeploymentActorContext(DeploymentID(deployment, application), plan.name, version)


async def _code(plan: ActorPlan, settings: ReplicaSettings) -> Path | None:
    from remora.http_client import SignedClient
    from remora.replica import code

    async with SignedClient(plan.controller_url, settings.data_key) as client:
        return await code.lay_out(plan.code, client, settings.scratch)
