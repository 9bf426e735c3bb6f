"""Conditions: the verdict and what stands beside it, in the form that Kubernetes' tools read (kstatus).

Pure. Reconciling and Stalled are there only while true and never both.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from remora_api.meta import Annotation, ConditionType, Reason
from remora_api.v1alpha1 import Condition, ConditionStatus
from remora_operator.facts import Facts
from remora_operator.verdict import UNHURRIED, Verdict

MAX_MESSAGE = 1024
FROZEN = f"{Annotation.PAUSED} is true: the operator observes and reports, and writes nothing but this status"


def conditions(facts: Facts, outcome: Verdict, before: Sequence[Condition], now: datetime) -> tuple[Condition, ...]:
    """Return the conditions of a status; a condition keeps its transition time while its status stays."""
    known = {it.type: it for it in before}
    available, why = _available(facts)
    head = facts.head_ready and facts.controller_reachable
    wanted = [
        (ConditionType.READY, outcome.is_ready, outcome.reason, outcome.message),
        (ConditionType.AVAILABLE, available, why[0], why[1]),
        (ConditionType.HEAD_READY, head, _head_reason(facts, head), facts.head_state),
        (
            ConditionType.PROXY_READY,
            facts.proxies_ready > 0,
            Reason.SERVING if facts.proxies_ready else Reason.WAITING_FOR_PROXY,
            f"{facts.proxies_ready} of {facts.proxies_desired} proxies are ready",
        ),
    ]
    if not outcome.is_ready:
        kind = ConditionType.STALLED if outcome.is_stalled else ConditionType.RECONCILING
        wanted.append((kind, True, outcome.reason, outcome.message))
    if facts.frozen:
        wanted.append((ConditionType.PAUSED, True, Reason.RECONCILE_PAUSED, FROZEN))
    return tuple(
        _condition(kind, holds, reason, message, facts.generation, known.get(kind.value), now)
        for kind, holds, reason, message in wanted
    )


def _available(facts: Facts) -> tuple[bool, tuple[Reason, str]]:
    if facts.suspended:
        return False, (Reason.SUSPENDED, "spec.suspend is true")
    if facts.proxies_ready == 0:
        return False, (Reason.WAITING_FOR_PROXY, "no proxy is ready")
    if facts.asleep:
        return True, (Reason.ASLEEP, "requests are answered once replicas have been started for them")
    if facts.serving is None:
        if facts.was_ready:
            return True, (Reason.SERVING, "as last known: the controller does not answer")
        return False, (Reason.NO_REPLICAS, "nothing is known of replicas yet")
    ingress = [it for it in facts.serving.deployments if it.ingress]
    if not any(it.ready for it in ingress):
        return False, (Reason.NO_REPLICAS, "no replica of the ingress deployment answers")
    return True, (Reason.SERVING, "requests are answered")


def _head_reason(facts: Facts, is_ready: bool) -> Reason:
    if is_ready:
        return Reason.SERVING
    return Reason.ASLEEP if facts.asleep else Reason.WAITING_FOR_HEAD


def _condition(
    kind: ConditionType,
    holds: bool,
    reason: Reason,
    message: str,
    generation: int,
    before: Condition | None,
    now: datetime,
) -> Condition:
    status = ConditionStatus.TRUE if holds else ConditionStatus.FALSE
    # Work on a new generation begins anew, so that its deadline does too.
    same_work = kind is not ConditionType.RECONCILING or (
        before is not None
        and before.observed_generation == generation
        and (before.reason in {it.value for it in UNHURRIED}) == (reason in UNHURRIED)
    )
    kept = before is not None and before.status is status and same_work
    return Condition(
        type=kind.value,
        status=status,
        observed_generation=generation,
        last_transition_time=before.last_transition_time if before is not None and kept else now.replace(microsecond=0),
        reason=reason.value,
        message=message[:MAX_MESSAGE],
    )
