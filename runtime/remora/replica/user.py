"""UserCallable: the user's object on a replica, behind the three ways in which it is called.

Last step of a request: `proxy → replica.server → UserCallable → the user's code`; `replica.server` sees it as a
types.Service. It takes a definition, constructs the object, and then answers HTTP (`asgi`), handle calls (`call`) and
streaming handle calls (`stream`), each within the context of its request.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.websockets import WebSocketDisconnect

from remora import headers
from remora.compat import stage
from remora.compat.request import Request
from remora.errors import UnknownMethod
from remora.graph.definition import Definition
from remora.handle import context as request_context
from remora.handle import failure as remote_failure
from remora.handle import flow, payload
from remora.handle.context import RequestContext
from remora.multiplexing import unload_all
from remora.replica import construct, failure, logs, responses
from remora.replica import context as replica_context
from remora.replica.care import Care
from remora.replica.context import ReplicaContext
from remora.replica.gang import GangContext
from remora.replica.ingress import app_of
from remora.replica.invoke import Method, is_stream, items, method_of, methods_of
from remora.replica.lifespan import Lifespan, StartupFailed
from remora.replica.refusals import REFUSED, answer_overload, refusal
from remora.replica.watched import Watched
from remora.routing.config import METHOD
from remora.tasks import CONFIG, UNTOLD_S
from remora.tracing import raised
from remora.transport.stream import StreamClosed
from remora.types import (
    FIRST_RANK,
    ASGIApp,
    CallMetadata,
    Payload,
    Receive,
    RemoteFailure,
    ReplicaRank,
    RpcCall,
    Scope,
    Send,
)

if TYPE_CHECKING:
    from remora.tasks.handlers import Consumption

log = logging.getLogger("remora.serve")


@dataclass(frozen=True, slots=True)
class Identity:
    """Which replica this is, and what it is allowed."""

    application: str
    replica: str
    max_ongoing_requests: int = 5
    rank: ReplicaRank = FIRST_RANK
    world_size: int = 1
    code_version: str | None = None
    gang: GangContext | None = None


class UserCallable:
    """The user's object, constructed and serving. Made by `create`; ended by `close`."""

    def __init__(self, found: Definition, instance: Any, app: ASGIApp | None, identity: Identity) -> None:
        """Wrap an object that is constructed already."""
        self._deployment = found.deployment
        self._instance = instance
        self._app = app
        self._identity = identity
        self._lifespan = Lifespan(app) if app is not None else None
        self._following = found.then
        self._replica = _context(identity, found.deployment, instance)
        self.request_router = found.router
        self.backpressure = found.backpressure
        self._methods: dict[str, Method | None] = {METHOD: method_of(lambda: found.router, "__call__")}
        self._pool = _threads(identity.max_ongoing_requests)
        _let_threads(identity.max_ongoing_requests)
        self._care = Care(found.deployment, instance, self._replica)
        self._tasks: Consumption | None = None

    @classmethod
    async def create(
        cls,
        definition: bytes,
        identity: Identity,
        user_config: Any = None,
        *,
        prepare: Callable[[Definition], Awaitable[None]] | None = None,
    ) -> UserCallable:
        """Import the user's module, construct the object, configure it; raise DeploymentFailure.

        `prepare` is awaited before the constructor, which may use what it starts. Handles must have their caller before
        (`handle.runtime.set_caller`): constructors may call.
        """
        found = construct.load(definition, identity.application)
        before = _context(identity, found.deployment)
        replica_context.enter(before)
        if found.logging is not None:
            with failure.of(found.deployment, "its logging_config cannot be applied"):
                logs.configure(
                    found.logging,
                    application=identity.application,
                    deployment=found.deployment,
                    replica=identity.replica.rpartition("#")[2],
                )
        if prepare is not None:
            await prepare(found)
        instance = await construct.construct(found)
        replica_context.enter(replace(before, servable_object=instance))
        with failure.of(found.deployment, "its ASGI application cannot be made"):
            app = app_of(instance)
            answer_overload(app)
        made = cls(found, instance, app, identity)
        if user_config is not None:
            await made._care.configure(user_config, on_loop=True)
        if made._lifespan is not None:
            await made._start(made._lifespan)
        if hasattr(type(instance), CONFIG):
            made._begin_tasks()
        return made

    @property
    def deployment(self) -> str:
        """Name of the deployment."""
        return self._deployment

    @property
    def name(self) -> str:
        """Unique name of the replica."""
        return self._identity.replica

    async def reconfigure(self, user_config: Any, max_ongoing_requests: int | None = None) -> None:
        """Give the object a new user_config, and size its threads; raise DeploymentFailure when its code raises."""
        if max_ongoing_requests is not None and max_ongoing_requests != self._identity.max_ongoing_requests:
            self._identity = replace(self._identity, max_ongoing_requests=max_ongoing_requests)
            retired, self._pool = self._pool, _threads(max_ongoing_requests)
            _let_threads(max_ongoing_requests)
            retired.shutdown(wait=False)
        if user_config is not None:
            await self._care.configure(user_config)

    async def check_health(self) -> None:
        """Ask the object for its health, if it has `check_health`; raise DeploymentFailure when that raises.

        A replica whose tasks have stopped to come is not well either.
        """
        if self._tasks is not None and (problem := self._tasks.problem()):
            raise failure.DeploymentFailure(f"deployment {self._deployment!r}: takes no tasks any more: {problem}")
        await self._care.check_health()

    def records(self, what: str) -> bool:
        """Return whether the object has such a method: `record_routing_stats`, `record_replica_metadata`."""
        return self._care.records(what)

    async def recorded(self, what: str) -> Any:
        """Return what the object records for routers."""
        return await self._care.recorded(what)

    async def stop_tasks(self, timeout_s: float = UNTOLD_S) -> None:
        """Take no more tasks from the object's queue, if it has one, and give those that run `timeout_s` to end."""
        if self._tasks is not None:
            await asyncio.to_thread(self._tasks.stop, timeout_s)

    def tasks_run_on(self) -> bool:
        """Return whether tasks run on that had to end by now: they are in their queue again, for other replicas."""
        return self._tasks is not None and self._tasks.runs_on()

    async def close(self) -> None:
        """End the object's tasks, its ASGI application and itself; what its code raises is logged."""
        replica_context.enter(self._replica)
        await self.stop_tasks()
        if self._lifespan is not None:
            await self._lifespan.shutdown()
        await unload_all()
        try:
            await construct.destroy(self._instance)
        except Exception:
            log.exception("deployment %r: __del__ failed", self._deployment)
        self._care.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    # ── HTTP ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request or WebSocket; raises only when the answer broke off, or on cancellation."""
        context = self._enter(RequestContext.of_http(scope, self._identity.application))
        watched = Watched(send)
        try:
            if self._app is not None:
                await self._asgi_app(self._app, scope, receive, watched)
            elif scope["type"] == "http":
                await self._http(scope, receive, watched)
            else:
                await watched({"type": "websocket.close", "code": 1000, "reason": "no WebSocket here"})
        except (ClientDisconnect, WebSocketDisconnect):
            log.info("deployment %r: the client of request %s left", self._deployment, context.request_id)
        except asyncio.CancelledError:
            context.cancel_calls()
            raise
        except Exception as error:
            if watched.broken:
                log.info("deployment %r: the client of request %s left", self._deployment, context.request_id)
                return
            raised.note(error)
            log.exception("deployment %r: request %s failed", self._deployment, context.request_id)
            if watched.started or scope["type"] != "http":
                raise
            await responses.send_text(send, 500, "Internal Server Error")

    async def _asgi_app(self, app: ASGIApp, scope: Scope, receive: Receive, send: Watched) -> None:
        if self._lifespan is not None:
            scope["state"] = {**self._lifespan.state, **scope.get("state", {})}
        try:
            await app(scope, receive, send)
        except Exception as error:
            # Frameworks answer with 500 first, then raise for the server's log.
            if not send.finished:
                raise
            raised.note(error)
            log.exception("deployment %r: its ASGI application failed", self._deployment)

    async def _http(self, scope: Scope, receive: Receive, send: Watched) -> None:
        request = Request(scope, receive, send)
        try:
            await request.preload()
            value = await self._answer(request)
            answer = responses.plain(value)
            if answer is not None:
                # Most answers: without the objects of a framework between the value and the wire.
                if send.whole(scope, *answer):
                    return
                await send({"type": "http.response.start", "status": 200, "headers": answer[0]})
                await send({"type": "http.response.body", "body": answer[1]})
                return
            response = responses.of(value, self._pool)
        except REFUSED as error:
            raised.note(error)
            response = refusal(error)
        try:
            await response(scope, receive, send)
        finally:
            if isinstance(response, StreamingResponse):
                # Starlette leaves it to the garbage collector when the client goes.
                await _close(response.body_iterator)

    async def _answer(self, request: Request) -> Any:
        """Return what the deployment, and the stages after it, make of the request."""
        method = self._method("__call__")
        value = await method.run(self._pool, (request,) if method.takes_arguments else (), {})
        return await self._through_stages(value)

    async def _through_stages(self, value: Any) -> Any:
        """Return the value that the stages after this one make of it."""
        return await flow.through(self._following, value, self._deployment) if self._following else value

    # ── gRPC ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def rpc(self, call: RpcCall) -> None:
        """Answer one gRPC call, to its status; raises only when the client has gone, or on cancellation."""
        # Whoever is called by gRPC has it; nobody else pays for it.
        from remora.grpc_util import RayServegRPCContext
        from remora.replica import rpc

        shown = RayServegRPCContext(metadata=call.metadata, peer=call.peer, request_id=call.request_id)
        context = self._enter(
            RequestContext(
                request_id=call.request_id,
                route=self._identity.application,
                app_name=self._identity.application,
                multiplexed_model_id=shown.multiplexed_model_id() or "",
                session_id=shown.session_id() or "",
                headers=headers.rpc_traces(call.metadata),
            )
        )
        code, details = rpc.OK, ""
        try:
            await rpc.answer(call, shown, self._method, self._pool)
            code, details = rpc.code_of(shown), shown.details()
        except asyncio.CancelledError:
            context.cancel_calls()
            raise
        except StreamClosed:
            context.cancel_calls()
            log.info("deployment %r: the client of request %s left", self._deployment, context.request_id)
            return
        except Exception as error:
            raised.note(error)
            log.exception("deployment %r: %s of request %s failed", self._deployment, call.path, context.request_id)
            code, details = rpc.status_of(error, shown)
        call.finish(code, details, shown.trailing_metadata())

    # ── handles ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def call(self, metadata: CallMetadata, arguments: Payload) -> Payload:
        """Run one handle call; raises RemoteFailure when the user's code raises."""
        context = self._enter(RequestContext.of_call(metadata, self._identity.application))
        try:
            value = await self._run(metadata, arguments)
            if is_stream(value):
                raise TypeError(
                    f"method {metadata.method!r} of deployment {self._deployment!r} returned a generator: "
                    "call it with handle.options(stream=True)"
                )
            if metadata.method == "__call__":
                value = await self._through_stages(value)
            return self._pickled(value)
        except asyncio.CancelledError:
            context.cancel_calls()
            raise
        except Exception as error:
            raise self._failed(metadata, error) from error

    async def stream(self, metadata: CallMetadata, arguments: Payload) -> AsyncGenerator[Payload]:
        """Run one streaming handle call; raises RemoteFailure when the user's code raises."""
        context = self._enter(RequestContext.of_call(metadata, self._identity.application))
        try:
            value = await self._run(metadata, arguments)
            if not is_stream(value):
                raise TypeError(
                    f"method {metadata.method!r} of deployment {self._deployment!r} returned "
                    f"{type(value).__name__} and no generator: call it without stream=True"
                )
            async with aclosing(items(value, self._pool)) as produced:
                async for item in produced:
                    yield self._pickled(item)
        except (asyncio.CancelledError, GeneratorExit):
            context.cancel_calls()
            raise
        except Exception as error:
            raise self._failed(metadata, error) from error

    async def _run(self, metadata: CallMetadata, arguments: Payload) -> Any:
        method = self._method(metadata.method)
        args, kwargs = payload.loads_call(arguments)
        return await method.run(self._pool, self._shaped(method, metadata.method, args, kwargs), kwargs)

    def _shaped(self, method: Method, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """Return the arguments; the one of a stage, or of the head of a chain, in the form that its code wants."""
        if len(args) != 1 or kwargs:
            return args
        (given,) = args
        if not isinstance(given, stage.StageInput):
            if not self._following or name != "__call__":
                return args
            given = stage.StageInput(given)
        return (stage.shaped(given, method.form),) if method.takes_arguments else ()

    def _pickled(self, value: Any) -> Payload:
        try:
            return payload.dumps(value)
        except Exception as error:
            raise TypeError(
                f"deployment {self._deployment!r} returned {type(value).__name__}, which cannot be pickled: {error}"
            ) from error

    def _failed(self, metadata: CallMetadata, error: Exception) -> RemoteFailure:
        log.error(
            "deployment %r: %s of request %s failed",
            self._deployment,
            metadata.method,
            metadata.request_id,
            exc_info=error,
        )
        return remote_failure.pack(error, self._deployment)

    # ── the object ───────────────────────────────────────────────────────────────────────────────────────────────

    def _enter(self, context: RequestContext) -> RequestContext:
        """Make the request the current one; the server runs each in a task of its own."""
        replica_context.enter(self._replica)
        request_context.enter(context)
        return context

    def _method(self, name: str) -> Method:
        """Return the method; raise AttributeError naming those that there are."""
        if name not in self._methods:
            self._methods[name] = method_of(self._instance, name)
        found = self._methods[name]
        if found is None:
            known = ", ".join(methods_of(self._instance)) or "none"
            raise UnknownMethod(f"deployment {self._deployment!r} has no method {name!r}; its methods are: {known}")
        return found

    def _begin_tasks(self) -> None:
        """Take tasks from the object's queue from now on, on the loop, where its constructor ran, too."""
        from remora.tasks.handlers import Consumption

        replica_context.enter(self._replica)
        with failure.of(self._deployment, "its task consumer cannot start"):
            self._tasks = Consumption.start(self._instance, self._identity.max_ongoing_requests)

    async def _start(self, lifespan: Lifespan) -> None:
        try:
            await lifespan.startup()
        except StartupFailed as error:
            lines = str(error).strip().splitlines() or ["it gave no reason"]
            raise failure.DeploymentFailure(
                f"deployment {self._deployment!r}: its ASGI application cannot start: {lines[-1]}", str(error)
            ) from None


def _context(identity: Identity, deployment: str, instance: Any = None) -> ReplicaContext:
    return ReplicaContext(
        identity.application,
        deployment,
        identity.replica,
        instance,
        identity.rank,
        identity.world_size,
        gang_context=identity.gang,
        code_version=identity.code_version,
    )


async def _close(iterator: Any) -> None:
    if isinstance(iterator, AsyncGenerator):
        await iterator.aclose()


def _threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=max(1, count), thread_name_prefix="remora-user")


def _let_threads(count: int) -> None:
    """Let as many plain routes of FastAPI run at once as requests may: it has 40 threads otherwise (anyio)."""
    limiter = to_thread.current_default_thread_limiter()
    limiter.total_tokens = max(limiter.total_tokens, count)
