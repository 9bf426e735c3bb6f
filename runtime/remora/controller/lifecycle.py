"""The life of a replica, as a table.

Pure. `events` moves replicas along it; whatever is not listed cannot happen, and says so.

    STARTING ──READY──▶ RUNNING ──DRAIN──▶ DRAINING
        │ │                │ │                 │
        │ └─FAIL─▶ FAILED ◀┘ │                 │
        │             │      │                 │
        └─KILL────────┴─KILL─┴─────────KILL────┴──▶ STOPPING      DIED leads from everywhere to being gone
"""

from __future__ import annotations

from enum import StrEnum

from remora.errors import RemoraError


class Phase(StrEnum):
    """Where a replica is in its life. One that is gone is in no phase: it is not there any more."""

    STARTING = "Starting"
    """Its process is asked for, or runs the user's constructor."""
    RUNNING = "Running"
    """It takes requests."""
    DRAINING = "Draining"
    """It finishes what it has; routes name it no longer."""
    FAILED = "Failed"
    """It did not start, or is unhealthy; it has to be killed."""
    STOPPING = "Stopping"
    """It was killed, and occupies its node until Ray says that it is dead."""


class Step(StrEnum):
    """What happens to a replica."""

    READY = "Ready"
    DRAIN = "Drain"
    FAIL = "Fail"
    KILL = "Kill"
    DIED = "Died"


GONE = None

TRANSITIONS: dict[tuple[Phase, Step], Phase | None] = {
    (Phase.STARTING, Step.READY): Phase.RUNNING,
    (Phase.STARTING, Step.FAIL): Phase.FAILED,
    (Phase.STARTING, Step.KILL): Phase.STOPPING,
    (Phase.RUNNING, Step.DRAIN): Phase.DRAINING,
    (Phase.RUNNING, Step.FAIL): Phase.FAILED,
    (Phase.RUNNING, Step.KILL): Phase.STOPPING,
    (Phase.DRAINING, Step.KILL): Phase.STOPPING,
    (Phase.FAILED, Step.KILL): Phase.STOPPING,
    # Asked again, when Ray did not hear the first time.
    (Phase.STOPPING, Step.KILL): Phase.STOPPING,
    **{(phase, Step.DIED): GONE for phase in Phase},
}


class NoSuchStep(RemoraError):
    """A replica was asked to do what it cannot do where it is."""


def after(phase: Phase, step: Step) -> Phase | None:
    """Return the phase after a step, None when the replica is gone; raise NoSuchStep for what is not in the table."""
    try:
        return TRANSITIONS[phase, step]
    except KeyError:
        raise NoSuchStep(f"a replica that is {phase} cannot {step}") from None


def allows(phase: Phase, step: Step) -> bool:
    """Tell whether the step is in the table: news that comes late (READY of a replica already stopping) is not."""
    return (phase, step) in TRANSITIONS
