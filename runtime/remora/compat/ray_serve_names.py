"""The public names of Ray Serve 2.60, by module: what programs may ask for, whether Remora has it or not.

A list, of names only: those that Ray Serve exports by `__all__`, and those that it marks as public where they are
defined. `missing` and the page on compatibility read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

NAMES: Final[Mapping[str, frozenset[str]]] = {
    "ray.serve": frozenset(
        {
            "Application",
            "ControllerOptions",
            "Deployment",
            "HTTPOptions",
            "RunTarget",
            "TracingConfig",
            "batch",
            "delete",
            "deployment",
            "get_app_handle",
            "get_deployment_actor",
            "get_deployment_actor_context",
            "get_deployment_handle",
            "get_multiplexed_model_id",
            "get_replica_context",
            "get_trace_context",
            "ingress",
            "multiplexed",
            "run",
            "run_many",
            "shutdown",
            "shutdown_async",
            "start",
            "status",
        }
    ),
    "ray.serve.api": frozenset(
        {
            "RunTarget",
            "delete",
            "deployment",
            "get_app_handle",
            "get_deployment_actor",
            "get_deployment_actor_context",
            "get_deployment_handle",
            "get_multiplexed_model_id",
            "get_replica_context",
            "ingress",
            "multiplexed",
            "run",
            "run_many",
            "shutdown",
            "shutdown_async",
            "start",
            "status",
        }
    ),
    "ray.serve.async_inference_autoscaling_policy": frozenset(
        {
            "AsyncInferenceAutoscalingPolicy",
        }
    ),
    "ray.serve.autoscaling_policy": frozenset(
        {
            "PrometheusQueryMixin",
            "PrometheusSample",
            "PrometheusScalar",
            "PrometheusVector",
            "default_autoscaling_policy",
            "replica_queue_length_autoscaling_policy",
        }
    ),
    "ray.serve.batching": frozenset(
        {
            "batch",
        }
    ),
    "ray.serve.config": frozenset(
        {
            "AggregationFunction",
            "AutoscalingConfig",
            "AutoscalingContext",
            "AutoscalingPolicy",
            "BackpressureConfig",
            "ControllerOptions",
            "DeploymentActorConfig",
            "GangPlacementStrategy",
            "GangRuntimeFailurePolicy",
            "GangSchedulingConfig",
            "HTTPOptions",
            "ProxyLocation",
            "RequestRouterConfig",
            "gRPCOptions",
        }
    ),
    "ray.serve.context": frozenset(
        {
            "DeploymentActorContext",
            "ReplicaContext",
        }
    ),
    "ray.serve.dag": frozenset(
        {
            "InputNode",
        }
    ),
    "ray.serve.deployment": frozenset(
        {
            "Application",
            "Deployment",
        }
    ),
    "ray.serve.exceptions": frozenset(
        {
            "BackPressureError",
            "DeploymentUnavailableError",
            "RayServeException",
            "ReplicaUnavailableError",
            "RequestCancelledError",
            "gRPCStatusError",
        }
    ),
    "ray.serve.experimental.capacity_queue": frozenset(
        {
            "CapacityQueue",
        }
    ),
    "ray.serve.experimental.capacity_queue_router": frozenset(
        {
            "CapacityQueueRouter",
        }
    ),
    "ray.serve.experimental.consistent_hash_router": frozenset(
        {
            "ConsistentHashRouter",
        }
    ),
    "ray.serve.experimental.round_robin_router": frozenset(
        {
            "RoundRobinRouter",
        }
    ),
    "ray.serve.gang": frozenset(
        {
            "GangContext",
        }
    ),
    "ray.serve.gradio_integrations": frozenset(
        {
            "GradioIngress",
            "GradioServer",
        }
    ),
    "ray.serve.grpc_util": frozenset(
        {
            "RayServegRPCContext",
            "gRPCInputStream",
        }
    ),
    "ray.serve.handle": frozenset(
        {
            "DeploymentBroadcastResponse",
            "DeploymentHandle",
            "DeploymentResponse",
            "DeploymentResponseGenerator",
        }
    ),
    "ray.serve.llm": frozenset(
        {
            "CloudMirrorConfig",
            "LLMConfig",
            "LLMServer",
            "LLMServingArgs",
            "LoraConfig",
            "ModelLoadingConfig",
            "build_dp_deployment",
            "build_dp_openai_app",
            "build_llm_deployment",
            "build_openai_app",
            "build_pd_openai_app",
        }
    ),
    "ray.serve.metrics": frozenset(
        {
            "Counter",
            "Gauge",
            "Histogram",
        }
    ),
    "ray.serve.request_router": frozenset(
        {
            "FIFOMixin",
            "LocalityMixin",
            "MultiplexMixin",
            "PendingRequest",
            "ReplicaID",
            "RequestRouter",
            "RunningReplica",
        }
    ),
    "ray.serve.schema": frozenset(
        {
            "APIType",
            "ApplicationDetails",
            "ApplicationStatus",
            "ApplicationStatusOverview",
            "AutoscalingMetricsHealth",
            "AutoscalingStatus",
            "CeleryAdapterConfig",
            "ControllerHealthMetrics",
            "DeploymentAutoscalingDetail",
            "DeploymentDetails",
            "DeploymentNode",
            "DeploymentSchema",
            "DeploymentStatusOverview",
            "DeploymentTopology",
            "DurationStats",
            "EncodingType",
            "HTTPOptionsSchema",
            "LoggingConfig",
            "ProxyDetails",
            "ProxyStatus",
            "RayActorOptionsSchema",
            "ReplicaDetails",
            "ReplicaRank",
            "ScaleDeploymentRequest",
            "ScalingDecision",
            "ServeActorDetails",
            "ServeApplicationSchema",
            "ServeDeploySchema",
            "ServeInstanceDetails",
            "ServeStatus",
            "Target",
            "TargetGroup",
            "TaskProcessorAdapter",
            "TaskProcessorConfig",
            "TaskResult",
            "TracingConfig",
            "gRPCOptionsSchema",
        }
    ),
    "ray.serve.task_consumer": frozenset(
        {
            "instantiate_adapter_from_config",
            "task_consumer",
            "task_handler",
        }
    ),
    "ray.serve.task_processor": frozenset(
        {
            "CeleryTaskProcessorAdapter",
        }
    ),
    "ray.serve.taskiq_task_processor": frozenset(
        {
            "TaskiqAdapterConfig",
            "TaskiqTaskProcessorAdapter",
        }
    ),
    "ray.serve.utils": frozenset(
        {
            "get_trace_context",
        }
    ),
}
