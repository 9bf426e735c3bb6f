"""Stands for `ray.serve.deployment`."""

from remora.graph.application import Application
from remora.graph.deployment import Deployment

__all__ = ["Application", "Deployment"]
