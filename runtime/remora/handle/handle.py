"""DeploymentHandle: calls one deployment of an application, from user code on any replica."""

from __future__ import annotations

import asyncio
import uuid
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from remora.errors import MisuseError, OptionError, RemoraError
from remora.handle import context, failure, payload, runtime
from remora.handle import options as handle_options
from remora.handle.broadcast import DeploymentBroadcastResponse
from remora.handle.identity import DeploymentID
from remora.handle.options import HandleOptions
from remora.handle.references import is_reference
from remora.handle.response import DeploymentResponse, DeploymentResponseGenerator
from remora.handle.selection import ReplicaSelection
from remora.types import Caller, CallMetadata, Payload, RemoteFailure


class DeploymentHandle:
    """Calls a deployment: `await handle.remote(1)`, `handle.method.remote(…)`, `handle.options(stream=True)`.

    Small and picklable; finds replicas when it is used.
    """

    __slots__ = ("_application", "_deployment", "_options")

    def __init__(self, deployment: str, application: str = "default", options: HandleOptions | None = None) -> None:
        """Refer to a deployment by name; "" is the application's ingress."""
        self._deployment = deployment
        self._application = application
        self._options = options or HandleOptions()

    @property
    def deployment_name(self) -> str:
        """Name of the deployment."""
        return self._deployment

    @property
    def app_name(self) -> str:
        """Name of the application."""
        return self._application

    @property
    def deployment_id(self) -> DeploymentID:
        """Names of deployment and application."""
        return DeploymentID(self._deployment, self._application)

    def options(self, **given: Any) -> DeploymentHandle:
        """Return a handle that calls another way: method_name, stream, multiplexed_model_id, session_id.

        Raises OptionError, which is a ValueError and a TypeError.
        """
        changed = handle_options.changed(self._options, given, self._deployment)
        for option in given:
            if option in handle_options.WITHOUT_EFFECT:
                warnings.warn(
                    f"handle to {self._deployment!r}: option {option} is accepted and has no effect yet", stacklevel=2
                )
        return DeploymentHandle(self._deployment, self._application, changed)

    def remote(self, *args: Any, **kwargs: Any) -> DeploymentResponse | Any:
        """Call, and return at once: a DeploymentResponse, or a DeploymentResponseGenerator with `stream=True`.

        Raises when the arguments cannot be pickled, or when nothing serves in this process.
        """
        here = runtime.current(self._application)
        metadata = self._metadata(self._options)
        send = here.caller.stream if metadata.stream else here.caller.call
        return self._sent(here, partial(send, self._application, self._deployment, metadata), metadata, args, kwargs)

    def broadcast(self, method_name: str, *args: Any, **kwargs: Any) -> DeploymentBroadcastResponse:
        """Call a method of every replica that there is now: to empty caches, to load settings anew.

        Replicas that are full are waited for; queue limits do not count these calls.
        """
        here = runtime.current(self._application)
        given = {"method_name": method_name, "stream": False}
        metadata = self._metadata(handle_options.changed(self._options, given, self._deployment))
        call = None if _waits(args, kwargs) else self._pickled(args, kwargs)
        return DeploymentBroadcastResponse(self._everywhere(here.caller, metadata, call, args, kwargs), here)

    @asynccontextmanager
    async def choose_replica(self, *args: Any, **kwargs: Any) -> AsyncGenerator[ReplicaSelection]:
        """Find a replica and keep a place on it while the block runs: `async with handle.choose_replica() as found`.

        Send the call with `handle.dispatch(found, …)`. Method and options are those of this handle. Unless a call was
        sent, the place is given back at the end.
        """
        here = runtime.current(self._application)
        metadata = self._metadata(self._options)
        place = await here.run(here.caller.reserve(self._application, self._deployment, metadata))
        selection = ReplicaSelection.of(place, self.deployment_id, metadata)
        try:
            yield selection
        finally:
            if selection.is_open:
                here.loop.call_soon_threadsafe(place.release)

    def dispatch(self, selection: ReplicaSelection, *args: Any, **kwargs: Any) -> DeploymentResponse | Any:
        """Send a call to the replica that `choose_replica` found; returns what `remote` returns.

        Raises ValueError when it was found for another deployment, RuntimeError when a call was sent already.
        """
        if selection._deployment != self.deployment_id:
            raise OptionError(
                f"handle to {self._deployment!r}: the replica was chosen for {selection._deployment}: "
                "dispatch with the handle that chose it"
            )
        here = runtime.current(self._application)
        place, metadata = selection.taken()
        send = place.stream if metadata.stream else place.call
        return self._sent(here, partial(send, metadata), metadata, args, kwargs)

    def running_replicas_populated(self) -> bool:
        """Return whether a call would find a replica now."""
        return runtime.current(self._application).caller.knows(self._application, self._deployment)

    @property
    def is_initialized(self) -> bool:
        """Always true: a handle finds replicas when it is used."""
        return True

    def _init(self, **options: Any) -> None:
        """Accept the settings of Ray Serve's own router."""

    def shutdown(self) -> None:
        """Do nothing: all handles of a process share its connections, which end with it."""

    async def shutdown_async(self) -> None:
        """Do nothing, as `shutdown`."""

    def __getattr__(self, name: str) -> DeploymentHandle:
        """Return a handle to the method of that name."""
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return self.options(method_name=name)

    def __reduce__(self) -> Any:
        """Travel as names."""
        return DeploymentHandle, (self._deployment, self._application, self._options)

    def __repr__(self) -> str:
        """Show what it calls."""
        method = "" if self._options.method_name == "__call__" else f".{self._options.method_name}"
        return f"<DeploymentHandle {self._application}/{self._deployment or 'ingress'}{method}>"

    def _metadata(self, options: HandleOptions) -> CallMetadata:
        request = context.current()
        return CallMetadata(
            request_id=request.request_id or uuid.uuid4().hex,
            method=options.method_name,
            stream=options.stream,
            multiplexed_model_id=options.multiplexed_model_id,
            session_id=options.session_id,
            route=request.route,
            headers=request.headers,
        )

    def _pickled(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Payload:
        try:
            return payload.dumps_call(args, kwargs)
        except RemoraError:
            raise
        except Exception as error:
            raise RemoraError(
                f"call of deployment {self._deployment!r}: an argument cannot be pickled: "
                f"{type(error).__name__}: {error}"
            ) from error

    async def _settled(self, call: Payload | None, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Payload:
        """Return the arguments pickled, after waiting for the responses and references among them."""
        if call is not None:
            return call
        return self._pickled(
            tuple([await arg if _is_awaited(arg) else arg for arg in args]),
            {name: await arg if _is_awaited(arg) else arg for name, arg in kwargs.items()},
        )

    def _sent(
        self,
        here: runtime.Runtime,
        send: Callable[[Payload], Any],
        metadata: CallMetadata,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> DeploymentResponse | DeploymentResponseGenerator:
        # What needs no waiting is pickled now: later changes to an argument are not seen by the callee.
        call = None if _waits(args, kwargs) else self._pickled(args, kwargs)
        if metadata.stream:
            return DeploymentResponseGenerator(self._items(send, call, args, kwargs), here, metadata.request_id)
        return DeploymentResponse(self._value(send, call, args, kwargs), here, metadata.request_id)

    async def _value(
        self,
        send: Callable[[Payload], Awaitable[Payload]],
        call: Payload | None,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Any:
        ready = await self._settled(call, args, kwargs)
        try:
            answer = await send(ready)
        except RemoteFailure as remote:
            error = failure.unpack(remote)
            raise error from error.__cause__
        return payload.loads(answer)

    async def _items(
        self,
        send: Callable[[Payload], AsyncGenerator[Payload]],
        call: Payload | None,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> AsyncIterator[Any]:
        items = send(await self._settled(call, args, kwargs))
        try:
            async for item in items:
                yield payload.loads(item)
        except RemoteFailure as remote:
            error = failure.unpack(remote)
            raise error from error.__cause__
        finally:
            # Here and now, not when the garbage collector comes by: the other replica is told.
            await items.aclose()

    async def _everywhere(
        self,
        caller: Caller,
        metadata: CallMetadata,
        call: Payload | None,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> list[asyncio.Task[Any]]:
        """Begin the call of every replica."""
        ready = await self._settled(call, args, kwargs)

        async def on(replica: str) -> Any:
            place = await caller.reserve(self._application, self._deployment, metadata, replica)
            return await self._value(partial(place.call, metadata), ready, (), {})

        tasks = [asyncio.create_task(on(name)) for name in await caller.replicas(self._application, self._deployment)]
        for task in tasks:
            # Whether anybody asks for the results or not.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return tasks


def _waits(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Return whether a response or reference must be there before the call can be sent; refuse streams."""
    arguments = (*args, *kwargs.values())
    if any(isinstance(argument, DeploymentResponseGenerator) for argument in arguments):
        raise MisuseError("a streaming response cannot be an argument of another call: iterate over it first")
    return any(_is_awaited(argument) for argument in arguments)


def _is_awaited(argument: Any) -> bool:
    return isinstance(argument, DeploymentResponse) or is_reference(argument)
