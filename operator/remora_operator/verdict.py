"""Verdict: whether the latest spec is served, and if not, why, and whether waiting helps.

Pure. `verdict` is a chain of questions in the order in which an application comes up; the first that is not answered
well is the reason. `judge` also looks at the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from remora_api import wire
from remora_api.meta import Annotation, ConditionType, Reason
from remora_api.v1alpha1 import Condition
from remora_operator.facts import Facts

UNHURRIED = frozenset((Reason.PAUSED, Reason.PROMOTING, Reason.RECONCILE_PAUSED))
"""Somebody wants it to wait: no deadline runs."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the latest spec is served, and if not, why and whether waiting helps."""

    reason: Reason
    message: str
    is_ready: bool = False
    is_stalled: bool = False


def verdict(facts: Facts) -> Verdict:
    """Return the first thing that keeps the application from being as wanted."""
    found = (question(facts) for question in _QUESTIONS)
    return next((it for it in found if it is not None), Verdict(Reason.SERVING, _all_is_well(facts), is_ready=True))


def judge(facts: Facts, before: Sequence[Condition], deadline: timedelta, now: datetime) -> Verdict:
    """Return the verdict, and take no progress for too long into account; while reconciling is paused none is due."""
    if facts.frozen:
        return _as_found(verdict(facts))
    return _with_deadline(facts, verdict(facts), {it.type: it for it in before}, deadline, now)


# ── the questions, in the order in which an application comes up ─────────────────────────────────────────────────


def _suspended(facts: Facts) -> Verdict | None:
    if not facts.suspended:
        return None
    return Verdict(Reason.SUSPENDED, "spec.suspend is true: nothing runs; set it to false to start", is_stalled=True)


def _asleep(facts: Facts) -> Verdict | None:
    if not facts.asleep:
        return None
    return Verdict(Reason.ASLEEP, "there are no replicas, as nobody asks: the next request starts them", is_ready=True)


def _code(facts: Facts) -> Verdict | None:
    return Verdict(Reason.CODE_NOT_FOUND, facts.code_problem, is_stalled=True) if facts.code_problem else None


def _pinned(facts: Facts) -> Verdict | None:
    return Verdict(Reason.REVISION_NOT_FOUND, facts.pin_problem, is_stalled=True) if facts.pin_problem else None


def _rolled_back(facts: Facts) -> Verdict | None:
    return Verdict(Reason.ROLLED_BACK, facts.rolled_back, is_stalled=True) if facts.rolled_back else None


def _held(facts: Facts) -> Verdict | None:
    return Verdict(Reason.PAUSED, facts.held) if facts.held else None


def _build_failed(facts: Facts) -> Verdict | None:
    status = facts.application
    if status is None or status.revision != facts.revision or status.build.state is not wire.BuildState.FAILED:
        return None
    return Verdict(Reason.BUILD_FAILED, status.build.message or "the code could not be imported", is_stalled=True)


def _failing(facts: Facts) -> Verdict | None:
    status = facts.application
    if status is None or facts.is_behind or status.build.state is not wire.BuildState.BUILT:
        # Until its own graph is known, the deployments that are reported are those of the revision before.
        return None
    failing = [it for it in status.deployments if it.failing]
    if not failing:
        return None
    return Verdict(Reason.REPLICAS_FAILING, "; ".join(map(_say, failing)), is_stalled=True)


def _capacity(facts: Facts) -> Verdict | None:
    if not facts.unplaced:
        return None
    if facts.unsuited:
        asked = "; ".join(f"deployment {name} asks for {{{labels}}}" for name, labels in sorted(facts.unsuited.items()))
        message = (
            f"no worker group has the Ray labels that bundles are to be with: {asked}; give them to a group by "
            "rayLabels in spec.workers, or change placement_group_bundle_label_selector in the code"
        )
        return Verdict(Reason.NO_CAPACITY, message, is_stalled=True)
    message = (
        f"deployment {', '.join(facts.unplaced)}: a replica fits on no worker group, or its group is at maxReplicas; "
        "lower the deployment's resources or replicas, or raise the group's resources or maxReplicas"
    )
    return Verdict(Reason.NO_CAPACITY, message, is_stalled=True)


def _head(facts: Facts) -> Verdict | None:
    if (facts.head_ready and facts.controller_reachable) or facts.was_ready:
        # A head that is away later keeps nobody from being served; HeadReady tells.
        return None
    reason = Reason.POD_FAILED if facts.head_trouble else Reason.WAITING_FOR_HEAD
    return Verdict(reason, facts.head_state)


def _workers(facts: Facts) -> Verdict | None:
    if any(it.ready for it in facts.workers):
        return None
    if facts.worker_trouble:
        return Verdict(Reason.POD_FAILED, facts.worker_trouble)
    return Verdict(Reason.WAITING_FOR_WORKERS, "no worker pod is ready yet")


def _taken(facts: Facts) -> Verdict | None:
    if not facts.is_behind or (facts.was_ready and facts.application is None):
        return None
    # The first spec is built, a later one rolled out.
    reason = Reason.ROLLING_OUT if facts.application else Reason.BUILDING
    return Verdict(reason, f"the controller has not taken generation {facts.generation} yet")


def _build(facts: Facts) -> Verdict | None:
    status = facts.application
    if status is None or status.build.state is wire.BuildState.BUILT:
        return None
    return Verdict(Reason.BUILDING, status.build.message or "the code is being imported on a worker pod")


def _replicas(facts: Facts) -> Verdict | None:
    status = facts.application
    if status is None:
        return None
    short = [it for it in status.deployments if it.updated < it.required or _is_left_over(it, facts)]
    if not short:
        return None
    rolls = any(it.ready > it.updated or _is_left_over(it, facts) for it in short)
    message = "; ".join(_say(it) for it in short)
    if facts.worker_trouble:
        message = f"{message}; {facts.worker_trouble}"
    return Verdict(Reason.ROLLING_OUT if rolls else Reason.WAITING_FOR_REPLICAS, message)


def _is_left_over(deployment: wire.DeploymentStatus, facts: Facts) -> bool:
    """Whether replicas are there that have to go.

    Those that autoscaling takes away, or that move to another node once all is as the spec wants, are nobody's concern.
    """
    if deployment.autoscaled or facts.was_ready:
        return deployment.ready > deployment.updated
    return deployment.total > deployment.desired


def _proxies(facts: Facts) -> Verdict | None:
    if facts.proxies_ready >= facts.proxies_desired or (facts.was_ready and facts.proxies_ready):
        return None
    if facts.proxy_trouble:
        return Verdict(Reason.POD_FAILED, facts.proxy_trouble)
    return Verdict(Reason.WAITING_FOR_PROXY, f"{facts.proxies_ready} of {facts.proxies_desired} proxies are ready")


def _moving(facts: Facts) -> Verdict | None:
    if facts.promoting:
        return Verdict(Reason.PAUSED if facts.is_paused else Reason.PROMOTING, facts.promoting)
    return (
        Verdict(Reason.ROLLING_OUT, "requests move from the old Ray cluster to the new one")
        if facts.is_moving
        else None
    )


_QUESTIONS: tuple[Callable[[Facts], Verdict | None], ...] = (
    _suspended,
    _asleep,
    _code,
    _pinned,
    _rolled_back,
    _held,
    _build_failed,
    _failing,
    _capacity,
    _head,
    _workers,
    _taken,
    _build,
    _replicas,
    _proxies,
    _moving,
)


def _as_found(found: Verdict) -> Verdict:
    """Return the verdict of a state about which nothing is done."""
    if found.is_ready:
        return found
    message = f"{Annotation.PAUSED} is true, so nothing is done about this: {found.reason.value}: {found.message}"
    return Verdict(Reason.RECONCILE_PAUSED, message, is_stalled=found.is_stalled)


# ── the clock ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _with_deadline(
    facts: Facts, outcome: Verdict, known: dict[str, Condition], deadline: timedelta, now: datetime
) -> Verdict:
    """Turn waiting into Stalled once nothing has moved for too long.

    Time counts from the moment when work on this generation began, and again from every pod that became ready.
    """
    if outcome.is_ready or outcome.is_stalled or outcome.reason in UNHURRIED:
        return outcome
    stuck = known.get(ConditionType.STALLED.value)
    began = known.get(ConditionType.RECONCILING.value) or stuck
    if began is None or began.observed_generation != facts.generation or began.reason in {it.value for it in UNHURRIED}:
        return outcome
    since = max(it for it in (began.last_transition_time, facts.last_progress, facts.began) if it is not None)
    was_stuck = stuck is not None and stuck.reason == Reason.PROGRESS_DEADLINE_EXCEEDED.value
    still = was_stuck and stuck is not None and since <= stuck.last_transition_time
    if not still and now - since < deadline:
        return outcome
    message = f"no progress for {int(deadline.total_seconds())} s: {outcome.message}"
    trouble = facts.head_missing or facts.head_trouble or facts.worker_trouble or facts.proxy_trouble
    if trouble and trouble not in message:
        # It need not be what is waited for first: proxies come up beside the head.
        message += f"; {trouble}"
    elif not trouble:
        message += (
            f"; `kubectl describe pods` and `kubectl logs` with -l remora.dev/application={facts.name} say more, "
            "spec.rollout.progressDeadlineSeconds is how long it may take"
        )
    return Verdict(Reason.PROGRESS_DEADLINE_EXCEEDED, message, is_stalled=True)


# ── words ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _say(deployment: wire.DeploymentStatus) -> str:
    text = f"deployment {deployment.name}: {deployment.ready} of {deployment.desired} replicas are ready"
    return f"{text}: {deployment.message}" if deployment.message else text


def _all_is_well(facts: Facts) -> str:
    if facts.application is None:
        return "as last known: the controller does not answer"
    ready = sum(it.ready for it in facts.application.deployments)
    return f"{ready} replicas of {len(facts.application.deployments)} deployments answer"
