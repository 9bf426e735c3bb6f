"""Stands for `ray.serve.utils`."""

from remora.serve import get_trace_context

__all__ = ["get_trace_context"]
