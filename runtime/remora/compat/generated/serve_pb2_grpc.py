"""The client of `ray.serve.RayServeAPIService`."""

from __future__ import annotations

from typing import Any

from remora.compat.generated import serve_pb2


class RayServeAPIServiceStub:
    """Calls over a channel of grpcio's: `ListApplications` and `Healthz`."""

    def __init__(self, channel: Any) -> None:
        for method in ("ListApplications", "Healthz"):
            request, answer = (getattr(serve_pb2, f"{method}{kind}") for kind in ("Request", "Response"))
            call = channel.unary_unary(
                f"/{serve_pb2.PACKAGE}.RayServeAPIService/{method}",
                request_serializer=request.SerializeToString,
                response_deserializer=answer.FromString,
            )
            setattr(self, method, call)
