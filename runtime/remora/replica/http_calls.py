"""HTTP at the replica: requests and WebSockets, for a deployment with an ASGI application and for one without."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.websockets import WebSocketDisconnect

from remora.compat.request import Request
from remora.handle.context import RequestContext
from remora.replica import responses
from remora.replica.lifespan import Lifespan
from remora.replica.refusals import REFUSED, refusal
from remora.replica.servable import Servable
from remora.replica.watched import Watched
from remora.tracing import raised
from remora.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger("remora.serve")


class HttpCalls:
    """Of one object."""

    def __init__(self, servable: Servable, app: ASGIApp | None, lifespan: Lifespan | None) -> None:
        """`app` is the object's ASGI application, None where its `__call__` answers."""
        self._servable = servable
        self._app = app
        self._lifespan = lifespan

    async def asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request or WebSocket; raises only when the answer broke off, or on cancellation."""
        context = self._servable.enter(RequestContext.of_http(scope, self._servable.application))
        watched = Watched(send)
        try:
            if self._app is not None:
                await self._asgi_app(self._app, scope, receive, watched)
            elif scope["type"] == "http":
                await self._http(scope, receive, watched)
            else:
                await watched({"type": "websocket.close", "code": 1000, "reason": "no WebSocket here"})
        except (ClientDisconnect, WebSocketDisconnect):
            log.info("deployment %r: the client of request %s left", self._servable.deployment, context.request_id)
        except asyncio.CancelledError:
            context.cancel_calls()
            raise
        except Exception as error:
            if watched.broken:
                log.info("deployment %r: the client of request %s left", self._servable.deployment, context.request_id)
                return
            raised.note(error)
            log.exception("deployment %r: request %s failed", self._servable.deployment, context.request_id)
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
            log.exception("deployment %r: its ASGI application failed", self._servable.deployment)

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
            response = responses.of(value, self._servable.pool)
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
        method = self._servable.method("__call__")
        value = await method.run(self._servable.pool, (request,) if method.takes_arguments else (), {})
        return await self._servable.through_stages(value)


async def _close(iterator: Any) -> None:
    if isinstance(iterator, AsyncGenerator):
        await iterator.aclose()
