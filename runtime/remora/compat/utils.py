"""Stands for `ray.serve.utils`."""

from remora.tracing.context import get_trace_context

__all__ = ["get_trace_context"]
