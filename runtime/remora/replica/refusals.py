"""Answers to requests that the client, or the load, is to blame for."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from remora.compat.json import MissingItem
from remora.compat.request import BadJson
from remora.errors import BackPressureError, DeploymentUnavailable
from remora.handle.flow import NoBranch
from remora.replica import responses

REFUSED = (BadJson, MissingItem, NoBranch, BackPressureError, DeploymentUnavailable, HTTPException)
"""What `refusal` has an answer to."""


def refusal(error: Exception) -> Response:
    """Return the answer to what `REFUSED` names."""
    match error:
        case BadJson():
            return responses.failed(400, f"the request's body is not JSON: {error}")
        case MissingItem() | NoBranch():
            return responses.failed(400, str(error))
        case HTTPException():
            return responses.failed(error.status_code, error.detail, dict(error.headers or {}))
        case BackPressureError():
            return responses.failed(error.status_code, str(error), error.headers)
        case _:
            return responses.failed(503, str(error), {"retry-after": "1"})


def answer_overload(app: Any) -> None:
    """Let a Starlette or FastAPI application answer 503 when a deployment that it calls is full or away."""
    if not hasattr(app, "add_exception_handler"):
        return
    for kind in (BackPressureError, DeploymentUnavailable):
        if kind not in app.exception_handlers:
            app.add_exception_handler(kind, _overloaded)


async def _overloaded(request: Request, error: Exception) -> Response:
    return refusal(error)
