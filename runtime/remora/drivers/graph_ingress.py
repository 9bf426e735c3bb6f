"""Graph: the ingress of an application whose graph stands in the resource (`spec.graph`).

It works out nothing itself: it passes the request to the root node and answers with what came out, as any deployment's
`__call__` does.
"""

from __future__ import annotations

from typing import Any

from remora.graph.deployment import deployment
from remora.graph.stage import Stage


class GraphIngress:
    """Passes requests through a graph; while it waits it has room for many."""

    def __init__(self, root: Stage) -> None:
        self._root = root

    async def __call__(self, request: Any) -> Any:
        """Return what the graph makes of an HTTP request, or of the value that a handle sends."""
        from remora.compat.request import Request
        from remora.compat.stage import OpenRequest
        from remora.handle import flow

        value = await OpenRequest.of(request) if isinstance(request, Request) else request
        return await flow.through((self._root,), value, Graph.name)


Graph = deployment(name="Graph", max_ongoing_requests=100, ray_actor_options={"num_cpus": 0.1})(GraphIngress)
