"""The HTTP side of a driver: a FastAPI application with one endpoint for each graph. Imported on replicas."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException
from fastapi.routing import APIRoute
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response

from remora.compat import json as compat_json
from remora.compat.json import MissingItem
from remora.compat.request import Request
from remora.handle.flow import NoBranch
from remora.replica.encode import encode


def application(answers: Mapping[str, Callable[[Any], Awaitable[Any]]], adapter: Callable[..., Any]) -> FastAPI:
    """Return an application that gives what the adapter made of a request to the path's answer, for GET and POST."""
    app = FastAPI()
    router = APIRouter(route_class=_Route)
    for path, answer in answers.items():
        for method in ("GET", "POST"):
            router.add_api_route(path, _endpoint(answer, adapter), methods=[method])
    app.include_router(router)
    return app


class _Route(APIRoute):  # type: ignore[misc]  # FastAPI is not type-checked here
    """A route whose adapters get a Request of ours: with `json()` in both spellings, and able to travel."""

    def get_route_handler(self) -> Callable[[StarletteRequest], Any]:
        handler = super().get_route_handler()

        async def handle(request: StarletteRequest) -> Response:
            ours = Request(request.scope, request.receive)
            await ours.preload()
            answered: Response = await handler(ours)
            return answered

        return handle


def _endpoint(answer: Callable[[Any], Awaitable[Any]], adapter: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    async def endpoint(given: Any) -> Response:
        if isinstance(given, Request):
            # It travels with its body, so all of that has to be here.
            await given.body()
        try:
            value = await answer(compat_json.plain(given))
        except (MissingItem, NoBranch) as error:
            raise HTTPException(400, str(error)) from error
        return value if isinstance(value, Response) else Response(encode(value), media_type="application/json")

    # FastAPI reads annotations, and this one is known now only.
    endpoint.__annotations__ = {"given": Annotated[Any, Depends(adapter)]}
    return endpoint
