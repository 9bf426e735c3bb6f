"""The controller's HTTP API: targets in, status and routes out as long polls, code and definitions for replicas.

The endpoints and their keys are those of `remora_api.wire`'s table.
"""

from __future__ import annotations

import asyncio
import importlib.metadata

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from remora.controller import events, rounds
from remora.controller.loop import Controller
from remora.signed_app import signed
from remora_api.message import Message, Unreadable
from remora_api.wire import ApplicationsSnapshot, ControllerStatus, LoadReport, RoutesSnapshot, Target

MAX_POLL_S = 60.0


def application(controller: Controller, *, control_key: str, data_key: str) -> Starlette:
    """Return the ASGI application of one controller."""
    endpoints = _Endpoints(controller)
    control, data = (lambda: (control_key,)), (lambda: (data_key,))
    return Starlette(
        routes=[
            Route("/v1/targets/{application}", signed(endpoints.put_target, keys=control), methods=["PUT"]),
            Route("/v1/targets/{application}", signed(endpoints.delete_target, keys=control), methods=["DELETE"]),
            Route("/v1/status", signed(endpoints.status, keys=control), methods=["GET"]),
            Route("/v1/applications", signed(endpoints.applications, keys=data), methods=["GET"]),
            Route("/v1/routes", signed(endpoints.routes, keys=data), methods=["GET"]),
            Route("/v1/loads", signed(endpoints.loads, keys=data), methods=["POST"]),
            Route("/v1/definitions/{digest}", signed(endpoints.definition, keys=data), methods=["GET"]),
            Route("/v1/code/{digest}", signed(endpoints.code, keys=data), methods=["GET"]),
            Route("/metrics", endpoints.metrics),
            Route("/healthz", endpoints.healthz),
            Route("/readyz", endpoints.readyz),
        ]
    )


class _Endpoints:
    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._versions = {"ray_version": _version_of("ray"), "remora_version": _version_of("remora")}

    async def put_target(self, request: Request, body: bytes) -> Response:
        try:
            target = Target.from_json(body)
        except Unreadable as error:
            raise HTTPException(422, str(error)) from error
        if target.application != request.path_params["application"]:
            raise HTTPException(422, f"the target is of {target.application!r}, not of the application in the path")
        self._controller.tell(events.TargetSet(target))
        return Response(status_code=204)

    async def delete_target(self, request: Request, body: bytes) -> Response:
        self._controller.tell(events.TargetDeleted(request.path_params["application"]))
        return Response(status_code=204)

    async def status(self, request: Request, body: bytes) -> Response:
        found = await self._controller.status.newer(*_poll(request))
        if found is None:
            return Response(status_code=204)
        version, (applications, nodes) = found
        return _json(
            ControllerStatus(
                epoch=self._controller.epoch,
                version=version,
                applications=applications,
                nodes=nodes,
                **self._versions,
            )
        )

    async def applications(self, request: Request, body: bytes) -> Response:
        found = await self._controller.status.newer(*_poll(request))
        if found is None:
            return Response(status_code=204)
        version, (applications, _) = found
        return _json(ApplicationsSnapshot(epoch=self._controller.epoch, version=version, applications=applications))

    async def routes(self, request: Request, body: bytes) -> Response:
        found = await self._controller.routes.newer(*_poll(request))
        if found is None:
            return Response(status_code=204)
        version, applications = found
        return _json(RoutesSnapshot(epoch=self._controller.epoch, version=version, applications=applications))

    async def loads(self, request: Request, body: bytes) -> Response:
        try:
            report = LoadReport.from_json(body)
        except Unreadable as error:
            raise HTTPException(422, str(error)) from error
        self._controller.take_loads(report)
        return Response(status_code=204)

    async def metrics(self, request: Request) -> Response:
        return PlainTextResponse(self._controller.metrics(), media_type="text/plain; version=0.0.4")

    async def definition(self, request: Request, body: bytes) -> Response:
        found = self._controller.definition(request.path_params["digest"])
        if found is None:
            raise HTTPException(404, "no definition has this digest")
        return Response(found, media_type="application/octet-stream")

    async def code(self, request: Request, body: bytes) -> Response:
        found = self._controller.code(request.path_params["digest"])
        if found is None:
            raise HTTPException(404, "no code has this digest")
        return _json(found)

    async def healthz(self, request: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(self, request: Request) -> Response:
        if not self._controller.is_ready:
            return PlainTextResponse("recovering", 503)
        return PlainTextResponse("ok")


def _poll(request: Request) -> tuple[str, int, float]:
    """Return what a long poll asks for: the epoch and version that the caller has, and how long it is kept."""
    query = request.query_params
    try:
        after, timeout_s = int(query.get("after", "0")), float(query.get("timeout_s", "0"))
    except ValueError as error:
        raise HTTPException(400, f"after and timeout_s must be numbers: {error}") from error
    timeout_s = min(MAX_POLL_S, max(0.0, timeout_s))
    if timeout_s:
        # Polls that end in vain do so together: every replica has one open.
        now = asyncio.get_running_loop().time()
        timeout_s = rounds.due(now, timeout_s) - now
    return query.get("epoch", ""), after, timeout_s


def _json(message: Message) -> Response:
    return Response(message.to_json(), media_type="application/json")


def _version_of(distribution: str) -> str:
    """Return what is installed; images carry the packages without their metadata."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
