"""Stands for `ray.serve.dag` and `ray.serve.drivers`: names of an older Ray Serve, which are not there yet."""

from __future__ import annotations

from typing import Any

from remora.errors import GraphError


class InputNode:
    """The input of a graph of calls. Not there yet: constructing one says so."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise GraphError("InputNode is not supported yet: chain deployments with .then(), or call handles")


class _Driver:
    """A ready-made ingress. Not there yet: using it says so."""

    def _refuse(self) -> GraphError:
        return GraphError("DAGDriver is not supported yet: bind an ingress deployment of your own")

    def bind(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse."""
        raise self._refuse()

    def options(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse."""
        raise self._refuse()


DAGDriver = _Driver()
