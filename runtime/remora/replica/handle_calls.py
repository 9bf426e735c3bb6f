"""Calls by handles at the replica: pickled arguments in, a pickled value or a stream of them out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from remora.compat import stage
from remora.handle import failure as remote_failure
from remora.handle import payload
from remora.handle.context import RequestContext
from remora.replica.invoke import Method, is_stream, items
from remora.replica.servable import Servable
from remora.types import CallMetadata, Payload, RemoteFailure

log = logging.getLogger("remora.serve")


class HandleCalls:
    """Of one object."""

    def __init__(self, servable: Servable) -> None:
        self._servable = servable

    async def call(self, metadata: CallMetadata, arguments: Payload) -> Payload:
        """Run one handle call; raises RemoteFailure when the user's code raises."""
        context = self._servable.enter(RequestContext.of_call(metadata, self._servable.application))
        try:
            value = await self._run(metadata, arguments)
            if is_stream(value):
                raise TypeError(
                    f"method {metadata.method!r} of deployment {self._servable.deployment!r} returned a generator: "
                    "call it with handle.options(stream=True)"
                )
            if metadata.method == "__call__":
                value = await self._servable.through_stages(value)
            return self._pickled(value)
        except asyncio.CancelledError:
            context.cancel_calls()
            raise
        except Exception as error:
            raise self._failed(metadata, error) from error

    async def stream(self, metadata: CallMetadata, arguments: Payload) -> AsyncGenerator[Payload]:
        """Run one streaming handle call; raises RemoteFailure when the user's code raises."""
        context = self._servable.enter(RequestContext.of_call(metadata, self._servable.application))
        try:
            value = await self._run(metadata, arguments)
            if not is_stream(value):
                raise TypeError(
                    f"method {metadata.method!r} of deployment {self._servable.deployment!r} returned "
                    f"{type(value).__name__} and no generator: call it without stream=True"
                )
            async with aclosing(items(value, self._servable.pool)) as produced:
                async for item in produced:
                    yield self._pickled(item)
        except (asyncio.CancelledError, GeneratorExit):
            context.cancel_calls()
            raise
        except Exception as error:
            raise self._failed(metadata, error) from error

    async def _run(self, metadata: CallMetadata, arguments: Payload) -> Any:
        method = self._servable.method(metadata.method)
        args, kwargs = payload.loads_call(arguments)
        return await method.run(self._servable.pool, self._shaped(method, metadata.method, args, kwargs), kwargs)

    def _shaped(self, method: Method, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """Return the arguments; the one of a stage, or of the head of a chain, in the form that its code wants."""
        if len(args) != 1 or kwargs:
            return args
        (given,) = args
        if not isinstance(given, stage.StageInput):
            if not self._servable.following or name != "__call__":
                return args
            given = stage.StageInput(given)
        return (stage.shaped(given, method.form),) if method.takes_arguments else ()

    def _pickled(self, value: Any) -> Payload:
        try:
            return payload.dumps(value)
        except Exception as error:
            made, deployment = type(value).__name__, self._servable.deployment
            raise TypeError(f"deployment {deployment!r} returned {made}, which cannot be pickled: {error}") from error

    def _failed(self, metadata: CallMetadata, error: Exception) -> RemoteFailure:
        log.error(
            "deployment %r: %s of request %s failed",
            self._servable.deployment,
            metadata.method,
            metadata.request_id,
            exc_info=error,
        )
        return remote_failure.pack(error, self._servable.deployment)
