"""The current context of spans, for user code that leaves it."""

from __future__ import annotations

import importlib
import sys
from typing import Any


def get_trace_context() -> Any:
    """Return OpenTelemetry's current context, with the request's span in it; None when there is none.

    Where tracing is on it need not be given to spans that are made in the request's own task or thread.
    """
    if "opentelemetry.context" not in sys.modules:
        return None
    return importlib.import_module("opentelemetry.context").get_current() or None
