"""Stands for `ray.serve.dag` and `ray.serve.deployment_graph`."""

from remora.graph.node import CallNode, GraphNode, InputNode

DAGNode = RayServeDAGHandle = GraphNode
DeploymentMethodNode = DeploymentFunctionNode = CallNode

__all__ = ["DAGNode", "DeploymentFunctionNode", "DeploymentMethodNode", "InputNode", "RayServeDAGHandle"]
