"""Exceptions of user code, on their way from the replica that raised them to the one that called."""

from __future__ import annotations

import logging
import traceback

from remora.errors import RemoraError
from remora.handle import payload
from remora.types import RemoteFailure

log = logging.getLogger("remora.serve")


class RemoteTraceback(Exception):
    """The traceback on the other replica, as the cause of the exception here."""

    def __str__(self) -> str:
        """Return the text as it was printed there."""
        return "\n" + str(self.args[0])


class RemoteError(RemoraError):
    """User code raised something that cannot travel: its text is all that arrived."""


def pack(error: BaseException, deployment: str) -> RemoteFailure:
    """Return what crosses the wire for an exception that the deployment's code raised."""
    trace = "".join(traceback.format_exception(error)).rstrip()
    text = f"deployment {deployment!r} raised {type(error).__name__}: {error}\n{trace}"
    try:
        packed = payload.dumps(error)
        payload.loads(packed)
    except Exception:  # noqa: BLE001 - pickling runs the user's code; the text goes instead
        log.debug("deployment %r: %s cannot be pickled", deployment, type(error).__name__)
        return RemoteFailure(text)
    return RemoteFailure(text, packed)


def unpack(failure: RemoteFailure) -> BaseException:
    """Return the exception as the caller sees it: of the same type where possible, the remote traceback its cause."""
    error: BaseException | None = None
    if failure.payload is not None:
        try:
            error = payload.loads(failure.payload)
        except Exception:  # noqa: BLE001 - its class may not exist here
            log.debug("an exception from another replica cannot be read here; its text is raised instead")
    if not isinstance(error, BaseException):
        error = RemoteError(failure.text.partition("\n")[0])
    error.__cause__ = RemoteTraceback(failure.text)
    return error
