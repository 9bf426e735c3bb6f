"""What the current request's code raised, kept for its span: its client may get an ordinary answer.

Light: `replica.user` tells, whether there is a span or not.
"""

from __future__ import annotations

from contextvars import ContextVar

_raised: ContextVar[list[BaseException] | None] = ContextVar("remora_raised", default=None)


def enter() -> None:
    """Keep what is noted in the current task from here on."""
    _raised.set([])


def note(error: BaseException) -> None:
    """Keep what was raised; nothing happens where no span is."""
    noted = _raised.get()
    if noted is not None:
        noted.append(error)


def first() -> BaseException | None:
    """Return what was raised first."""
    noted = _raised.get()
    return noted[0] if noted else None
