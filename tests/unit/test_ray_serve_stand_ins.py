"""Modules that stand for Ray Serve's: its default policy, and the client of its gRPC service."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from remora.compat.autoscaling_policy import default_autoscaling_policy
from remora.compat.generated import serve_pb2
from remora.compat.generated.serve_pb2_grpc import RayServeAPIServiceStub
from remora.graph.autoscaling import AutoscalingConfig


def test_the_default_policy_shares_the_requests() -> None:
    config = AutoscalingConfig(max_replicas=9, target_ongoing_requests=2)
    context: Any = SimpleNamespace(total_num_requests=5, config=config, policy_state={"calls": 1})
    assert default_autoscaling_policy(context) == (2.5, {"calls": 1})
    context.total_num_requests = 0
    assert default_autoscaling_policy(context) == (0, {"calls": 1})


class Channel:
    """Answers as the proxy does."""

    def unary_unary(self, path: str, *, request_serializer: Any, response_deserializer: Any) -> Any:
        answers = {
            "/ray.serve.RayServeAPIService/Healthz": b"\x0a\x07success",
            "/ray.serve.RayServeAPIService/ListApplications": b"\x0a\x04shop\x0a\x05other",
        }
        return lambda request: (request_serializer(request), response_deserializer(answers[path]))


def test_the_client_of_the_grpc_service() -> None:
    stub: Any = RayServeAPIServiceStub(Channel())
    sent, healthy = stub.Healthz(request=serve_pb2.HealthzRequest())
    assert (sent, healthy.message) == (b"", "success")
    sent, listed = stub.ListApplications(request=serve_pb2.ListApplicationsRequest())
    assert (sent, list(listed.application_names)) == (b"", ["shop", "other"])
    assert serve_pb2.ListApplicationsResponse.FromString(listed.SerializeToString()) == listed
