"""DeploymentHandle: calls one deployment of an application, from user code on any replica."""

from __future__ import annotations

import uuid
import warnings
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from remora.errors import OptionError, RemoraError
from remora.handle import context, failure, payload, runtime
from remora.handle.response import DeploymentResponse, DeploymentResponseGenerator
from remora.types import Caller, CallMetadata, Payload, RemoteFailure

_WITHOUT_EFFECT: Final = ("_prefer_local_routing", "_by_reference", "request_serialization", "response_serialization")


@dataclass(frozen=True, slots=True)
class HandleOptions:
    """How a handle calls."""

    method_name: str = "__call__"
    stream: bool = False
    multiplexed_model_id: str = ""
    session_id: str = ""


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

    def options(self, **given: Any) -> DeploymentHandle:
        """Return a handle that calls another way: method_name, stream, multiplexed_model_id, session_id."""
        for option in given:
            if option in _WITHOUT_EFFECT:
                warnings.warn(
                    f"handle to {self._deployment!r}: option {option} is accepted and has no effect yet", stacklevel=2
                )
            elif option not in HandleOptions.__dataclass_fields__:
                known = ", ".join(HandleOptions.__dataclass_fields__)
                raise OptionError(f"handle to {self._deployment!r}: unknown option {option!r}; known are {known}")
        known_ones = {option: value for option, value in given.items() if option not in _WITHOUT_EFFECT}
        return DeploymentHandle(self._deployment, self._application, replace(self._options, **known_ones))

    def remote(self, *args: Any, **kwargs: Any) -> DeploymentResponse | Any:
        """Call, and return at once: a DeploymentResponse, or a DeploymentResponseGenerator with `stream=True`.

        Raises when the arguments cannot be pickled, or when nothing serves in this process.
        """
        here = runtime.current()
        metadata = self._metadata()
        # What needs no waiting is pickled now: later changes to an argument are not seen by the callee.
        call: Payload | None = None if _waits(args, kwargs) else self._pickled(args, kwargs)
        if self._options.stream:
            return DeploymentResponseGenerator(
                self._items(here.caller, metadata, call, args, kwargs), here, metadata.request_id
            )
        return DeploymentResponse(self._value(here.caller, metadata, call, args, kwargs), here, metadata.request_id)

    def broadcast(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse: not there yet."""
        raise RemoraError(f"handle to {self._deployment!r}: broadcast is not supported yet")

    def choose_replica(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse: not there yet."""
        raise RemoraError(f"handle to {self._deployment!r}: choose_replica is not supported yet")

    def __getattr__(self, name: str) -> DeploymentHandle:
        """Return a handle to the method of that name."""
        if name.startswith("__"):
            raise AttributeError(name)
        return self.options(method_name=name)

    def __reduce__(self) -> Any:
        """Travel as names."""
        return DeploymentHandle, (self._deployment, self._application, self._options)

    def __repr__(self) -> str:
        """Show what it calls."""
        method = "" if self._options.method_name == "__call__" else f".{self._options.method_name}"
        return f"<DeploymentHandle {self._application}/{self._deployment or 'ingress'}{method}>"

    def _metadata(self) -> CallMetadata:
        request = context.current()
        return CallMetadata(
            request_id=request.request_id or uuid.uuid4().hex,
            method=self._options.method_name,
            stream=self._options.stream,
            multiplexed_model_id=self._options.multiplexed_model_id,
            session_id=self._options.session_id or request.session_id,
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
        """Return the arguments pickled, after waiting for the responses among them."""
        if call is not None:
            return call
        return self._pickled(
            tuple([await arg if isinstance(arg, DeploymentResponse) else arg for arg in args]),
            {name: await arg if isinstance(arg, DeploymentResponse) else arg for name, arg in kwargs.items()},
        )

    async def _value(
        self,
        caller: Caller,
        metadata: CallMetadata,
        call: Payload | None,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Any:
        ready = await self._settled(call, args, kwargs)
        try:
            answer = await caller.call(self._application, self._deployment, metadata, ready)
        except RemoteFailure as remote:
            error = failure.unpack(remote)
            raise error from error.__cause__
        return payload.loads(answer)

    async def _items(
        self,
        caller: Caller,
        metadata: CallMetadata,
        call: Payload | None,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> AsyncIterator[Any]:
        ready = await self._settled(call, args, kwargs)
        try:
            async for item in caller.stream(self._application, self._deployment, metadata, ready):
                yield payload.loads(item)
        except RemoteFailure as remote:
            error = failure.unpack(remote)
            raise error from error.__cause__


def _waits(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Return whether a response must be there before the call can be sent; refuse streams."""
    arguments = (*args, *kwargs.values())
    if any(isinstance(argument, DeploymentResponseGenerator) for argument in arguments):
        raise RemoraError("a streaming response cannot be an argument of another call: iterate over it first")
    return any(isinstance(argument, DeploymentResponse) for argument in arguments)
