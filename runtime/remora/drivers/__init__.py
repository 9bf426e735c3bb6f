"""Ready-made ingress deployments: they take a request, run a graph of other deployments, and answer."""

from remora.drivers.dag_driver import DAGDriver

__all__ = ["DAGDriver"]
