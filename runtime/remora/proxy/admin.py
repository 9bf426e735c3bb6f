"""The proxy's admin port: health for the kubelet, metrics for Prometheus, routing from the operator.

GET  /healthz      the process runs
GET  /readyz       it takes new clients: it knows a routing and does not drain
GET  /metrics      Prometheus text
PUT  /v1/routing   `remora_api.wire.Routing`, signed with the proxy key
GET  /v1/activity  long poll of `remora_api.wire.ProxyActivity`: what waits for an application at zero; signed
GET  /v1/figures   `remora_api.wire.ProxyFigures`: how two revisions do; signed too
GET  /v1/routing   what is routed, for people; signed too
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from remora.proxy.figures import Figures
from remora.proxy.holding import Holding
from remora.proxy.metrics import Metrics
from remora.proxy.routing import CurrentRouting
from remora.signed_app import signed
from remora_api.message import Unreadable
from remora_api.wire import Routing

MAX_POLL_S = 60.0


def admin(
    routing: CurrentRouting,
    metrics: Metrics,
    holding: Holding,
    figures: Figures,
    *,
    key: str,
    not_ready: Callable[[], str | None],
    clock: Callable[[], float],
) -> Starlette:
    """Return the admin application. ``not_ready`` says why no new clients should come, or None."""
    keys = (key,) if key else ()

    async def healthz(request: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(request: Request) -> Response:
        reason = not_ready()
        return PlainTextResponse(reason or "ok", 503 if reason else 200)

    async def exposition(request: Request) -> Response:
        text = metrics.text() + "\n".join(figures.lines()) + "\n"
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    async def routes(request: Request, body: bytes) -> Response:
        if request.method == "PUT":
            try:
                pushed = Routing.from_json(body)
            except Unreadable as error:
                raise HTTPException(422, str(error)) from error
            if not routing.apply(pushed):
                raise HTTPException(409, f"version {pushed.version} is older than {routing.version}, which is in use")
        return JSONResponse(_summary(routing))

    async def activity(request: Request, body: bytes) -> Response:
        query = request.query_params
        try:
            after, timeout_s = int(query.get("after", "0")), float(query.get("timeout_s", "0"))
        except ValueError as error:
            raise HTTPException(400, f"after and timeout_s must be numbers: {error}") from error
        said = await holding.newer(query.get("epoch", ""), after, min(MAX_POLL_S, max(0.0, timeout_s)))
        if said is None:
            return Response(status_code=204)
        return Response(said.to_json(), media_type="application/json")

    async def revisions(request: Request, body: bytes) -> Response:
        return Response(figures.report(clock()).to_json(), media_type="application/json")

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", exposition),
            Route("/v1/activity", signed(activity, keys=lambda: keys), methods=["GET"]),
            Route("/v1/routing", signed(routes, keys=lambda: keys), methods=["GET", "PUT"]),
            Route("/v1/figures", signed(revisions, keys=lambda: keys), methods=["GET"]),
        ]
    )


def _summary(routing: CurrentRouting) -> dict[str, object]:
    applications = []
    for application in routing.table.applications:
        pool = routing.pool(application)
        applications.append(
            {
                "application": application.application,
                "route_prefix": application.route_prefix,
                "ready_replicas": pool.ready if pool else 0,
                "queued": pool.queued if pool else 0,
            }
        )
    return {"version": routing.version, "applications": applications, "controllers": routing.followed}
