"""Progress: how far a rollout with two revisions side by side is, and what it waits for.

Pure. A revision that is ready walks through the steps of its strategy; behind the last it has all requests:

    comes up (0) ──ready──▶ step 1 ──its pause is over, or promoted──▶ step 2 ──▶ … ──▶ done
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from remora_api.v1alpha1 import BlueGreen, Canary, CanaryStep, Rollout, Strategy
from remora_operator.revisions import Revision


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a rollout is."""

    step: int = 0
    """0 while the revision comes up, then 1, 2, …; one more than there are steps when it is done."""
    since: datetime | None = None
    steps: int = 0
    weight: int = 0
    """Requests in a hundred that the new revision gets."""
    is_done: bool = False
    waits_for: str = ""
    """What it waits for once the revision is ready; empty before."""
    due: datetime | None = None
    """When the next step begins by itself."""


def steps_of(rollout: Rollout) -> tuple[CanaryStep, ...]:
    """Return the steps of a strategy; none for Rolling, which moves all requests once the revision is ready."""
    match rollout.strategy:
        case Strategy.CANARY:
            return (rollout.canary or Canary()).steps
        case Strategy.BLUE_GREEN:
            seconds = (rollout.blue_green or BlueGreen()).auto_promote_seconds
            return (CanaryStep(weight=0, pause_seconds=seconds),)
        case _:
            return ()


def advance(
    revision: Revision,
    steps: tuple[CanaryStep, ...],
    *,
    is_ready: bool,
    is_paused: bool,
    promoted_to: int | None,
    now: datetime,
) -> Stage:
    """Return the stage of a rollout now; `revision` has the one before.

    `promoted_to` is the step that a person let it go to. A revision that is not ready, or paused, stays where it is:
    it never takes a step by itself on which nobody can rely.
    """
    step, since = min(revision.step, len(steps) + 1), revision.since
    if is_ready and not is_paused:
        step, since = _walked(step, since, steps, promoted_to, now)
    if step > len(steps):
        return Stage(step, since, len(steps), 100, is_done=True)
    if step == 0:
        waits_for = "spec.rollout.paused is true" if is_ready and is_paused else ""
        return Stage(0, since, len(steps), waits_for=waits_for)
    current = steps[step - 1]
    due = None
    if current.pause_seconds is not None and since is not None:
        due = since + timedelta(seconds=current.pause_seconds)
    if is_paused:
        waits_for = "spec.rollout.paused is true"
    elif due is not None:
        waits_for = f"the next step begins {due.isoformat(timespec='seconds')}"
    else:
        waits_for = "it waits for `remora rollout promote`"
    return Stage(step, since, len(steps), current.weight, waits_for=waits_for, due=None if is_paused else due)


def _walked(
    step: int, since: datetime | None, steps: tuple[CanaryStep, ...], promoted_to: int | None, now: datetime
) -> tuple[int, datetime | None]:
    if step == 0:
        step, since = 1, now
    while step <= len(steps):
        pause = steps[step - 1].pause_seconds
        is_over = pause is not None and since is not None and now >= since + timedelta(seconds=pause)
        if not is_over and not (promoted_to is not None and promoted_to > step):
            break
        step, since = step + 1, now
    return step, since
