"""What can go wrong between the operator and the world, by what to do about it."""

from __future__ import annotations


class OperatorError(Exception):
    """Base of the operator's own errors; the message states the fact, the object and the way out."""


class Transient(OperatorError):
    """Will probably work later: try again, more slowly each time."""


class Permanent(OperatorError):
    """Will fail again until somebody changes something."""


class NotLeading(Transient):
    """Another operator leads, or may lead by now: nothing may be written."""


class Refused(Permanent):
    """The API server does not take the head or the workers of a revision: what it was made from has to change."""


class Conflict(Permanent):
    """An object with the name of a child exists and belongs to somebody else."""
