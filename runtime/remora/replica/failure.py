"""What goes wrong in user code outside of requests: when it is loaded, constructed, reconfigured or checked."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from remora.errors import RemoraError

_TRACEBACK_LINES = 40


class DeploymentFailure(RemoraError):
    """User code failed outside of a request. The message names the deployment and the last line of the traceback."""

    def __init__(self, message: str, trace: str = "") -> None:
        super().__init__(message, trace)
        self.message = message
        self.trace = trace
        """The traceback's tail."""

    def __str__(self) -> str:
        """Return the one sentence."""
        return self.message


@contextmanager
def of(deployment: str, doing: str) -> Iterator[None]:
    """Turn whatever user code raises inside into a DeploymentFailure that says what was being done."""
    try:
        yield
    except DeploymentFailure:
        raise
    except (Exception, SystemExit) as error:
        raise DeploymentFailure(f"deployment {deployment!r}: {doing}: {last_line(error)}", tail(error)) from error


def last_line(error: BaseException) -> str:
    """Return the exception as the last line of its traceback says it, on one line."""
    return " ".join("".join(traceback.format_exception_only(error)[-1:]).split())[:500]


def tail(error: BaseException) -> str:
    """Return the end of the traceback."""
    lines = "".join(traceback.format_exception(error)).rstrip().splitlines()
    return "\n".join(lines[-_TRACEBACK_LINES:])
