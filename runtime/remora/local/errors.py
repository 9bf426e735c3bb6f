"""What local mode says when it cannot do what it was asked."""

from __future__ import annotations

from remora.errors import RemoraError


class CannotServe(RemoraError, RuntimeError):
    """The application cannot be served: its code does not import, its constructor raises, the port is taken."""

    def __init__(self, message: str, trace: str = "") -> None:
        super().__init__(message)
        self.trace = trace
        """Tail of the user's traceback; empty when there is none."""
