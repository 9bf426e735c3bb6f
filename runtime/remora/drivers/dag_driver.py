"""DAGDriver: a graph of calls behind HTTP and behind a handle.

`DAGDriver.bind(output)` answers any path below the route prefix with the graph's result as JSON;
`DAGDriver.bind({"/a": output, "/b": other})` each path with its own graph. `http_adapter` makes the graph's input of
the request: a function whose parameters FastAPI fills (the request, the body, query parameters, …), or its import path.
By a handle: `handle.predict.remote(…)`, and with several graphs `handle.predict_with_route.remote("/a", …)`.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from remora.errors import GraphError
from remora.graph.deployment import deployment
from remora.replica.ingress import ingress

ANY_PATH: Final = "/{path:path}"


@deployment(name="DAGDriver", max_ongoing_requests=100)
@ingress()
class DAGDriver:
    """Takes requests and runs graphs; while it waits for them it has room for many."""

    def __init__(self, dags: Any, *, http_adapter: Callable[..., Any] | str | None = None) -> None:
        self._graphs: dict[str, Any] = dict(dags) if isinstance(dags, Mapping) else {ANY_PATH: dags}
        for route, graph in self._graphs.items():
            _check(route, graph)
        self._adapter = _adapter(http_adapter)

    async def predict(self, *args: Any, **kwargs: Any) -> Any:
        """Run the graph on this input; raise GraphError when there are several."""
        if ANY_PATH not in self._graphs:
            known = ", ".join(self._graphs)
            raise GraphError(f"DAGDriver has several graphs: predict_with_route.remote(route, …) takes one of {known}")
        return await self._graphs[ANY_PATH].remote(*args, **kwargs)

    async def predict_with_route(self, route_path: str, *args: Any, **kwargs: Any) -> Any:
        """Run the graph of this route; raise GraphError when there is none."""
        graph = self._graphs.get(route_path)
        if graph is None:
            raise GraphError(f"DAGDriver has no graph for route {route_path!r}; it has {', '.join(self._graphs)}")
        return await graph.remote(*args, **kwargs)

    def __serve_build_asgi_app__(self) -> Any:
        """Return the application that answers HTTP requests; called on the replica, after the constructor."""
        from remora.drivers.asgi import application

        return application({route: self._answering(route) for route in self._graphs}, self._adapter)

    def _answering(self, route: str) -> Callable[[Any], Awaitable[Any]]:
        async def answer(given: Any) -> Any:
            return await self.predict_with_route(route, given)

        return answer


def _check(route: object, graph: object) -> None:
    if not isinstance(route, str) or not route.startswith("/"):
        raise GraphError(f"DAGDriver: route {route!r} must be a path, for instance '/predict'")
    if not hasattr(graph, "remote"):
        raise GraphError(
            f"DAGDriver: {type(graph).__name__} for {route!r} is no graph: "
            "bind the result of a call, for instance model.predict.bind(inp)"
        )


def _adapter(given: Callable[..., Any] | str | None) -> Callable[..., Any]:
    """Return the function, imported if it is named."""
    if given is None:
        from remora.drivers.http_adapters import starlette_request

        return starlette_request
    if isinstance(given, str):
        module, _, name = given.replace(":", ".").rpartition(".")
        given = getattr(importlib.import_module(module), name)
    if not callable(given) or inspect.iscoroutine(given):
        raise GraphError(f"DAGDriver: http_adapter must be a function or its import path, not {type(given).__name__}")
    return given
