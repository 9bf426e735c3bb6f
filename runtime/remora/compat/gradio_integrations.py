"""Stands for `ray.serve.gradio_integrations`: a Gradio app as a deployment. Gradio is imported in the replica."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from remora.graph.deployment import deployment
from remora.packages import required
from remora.replica.ingress import ingress
from remora.types import ASGIApp

__all__ = ["GradioIngress", "GradioServer"]


@ingress()
class GradioIngress:
    """Answers HTTP by the Gradio app that a function builds in the replica; may be subclassed.

    Raises MissingPackage where Gradio is not installed.
    """

    def __init__(self, builder: Callable[[], Any]) -> None:
        """Build the app: `builder` takes nothing and returns a Gradio `Blocks` or `Interface`."""
        gradio = required("gradio", "Gradio apps", "gradio")
        fastapi = required("fastapi", "Gradio apps", "fastapi")
        # Not the app alone, as in Ray Serve: its page and its queue need what Gradio does when it mounts one.
        self._gradio: ASGIApp = gradio.mount_gradio_app(fastapi.FastAPI(), builder(), path="/")

    def __serve_build_asgi_app__(self) -> ASGIApp:
        return self._gradio


GradioServer = deployment(GradioIngress)
