"""Revisions and rollouts as the status shows them, and the sentences about them.

Pure.
"""

from __future__ import annotations

from remora_api import wire
from remora_api.v1alpha1 import RevisionPhase, RevisionStatus, RolloutStatus
from remora_operator.incarnations import Clusters
from remora_operator.observed import Observed
from remora_operator.revisions import Choice, Revision
from remora_operator.verdict import Verdict


def revision_statuses(
    observed: Observed, clusters: Clusters, choice: Choice, application: str
) -> tuple[RevisionStatus, ...]:
    """Return every revision that is kept, the newest first."""
    ready = _ready(observed, clusters, choice, application)
    weights = _weights(clusters, choice, ready)
    return tuple(
        RevisionStatus(
            name=it.name,
            number=it.number,
            phase=_phase(it, clusters, choice),
            weight=weights.get(it.name, 0),
            ready=ready.get(it.name, 0),
            message=it.failed[:1024],
        )
        for it in choice.kept
    )


def rollout_status(clusters: Clusters, choice: Choice, outcome: Verdict) -> RolloutStatus | None:
    """Return the rollout that is under way; None when what is wanted is served, or was given up."""
    wanted = choice.updated if choice.is_held else choice.wanted
    if wanted is None or wanted.failed or (clusters.is_served and not choice.is_held) or choice.stable is None:
        return None
    if not choice.is_new and not choice.is_held:
        return None
    stage = clusters.stage
    return RolloutStatus(
        revision=wanted.name,
        number=wanted.number,
        step=stage.step if stage else 0,
        steps=stage.steps if stage else 0,
        weight=stage.weight if stage else 0,
        next_step_time=stage.due.replace(microsecond=0) if stage and stage.due else None,
        message=outcome.message[:1024],
    )


def rolled_back(choice: Choice) -> str:
    """Say what became of the revision of the spec, if another runs because of it."""
    if not choice.is_rolled_back or choice.updated is None or choice.stable is None:
        return ""
    return (
        f"revision {choice.updated.name} was taken back, {choice.stable.name} serves: {choice.updated.failed}; "
        "change the spec, or try it again with `remora rollout retry`"
    )


def held(choice: Choice) -> str:
    """Say what runs while a rollout may not begin."""
    if not choice.is_held or choice.updated is None or choice.stable is None:
        return ""
    return (
        f"spec.rollout.paused is true: revision {choice.updated.name} is not rolled out, {choice.stable.name} serves; "
        "go on with `remora rollout resume`"
    )


def promoting(clusters: Clusters, choice: Choice) -> str:
    """Say how far the requests have moved, and what is waited for; empty before the new revision is up."""
    stage = clusters.stage
    if stage is None or not stage.waits_for or choice.wanted is None or not choice.is_new:
        return ""
    at = f"is at step {stage.step} of {stage.steps} with {stage.weight} % of the requests" if stage.step else "is up"
    return f"revision {choice.wanted.name} {at}: {stage.waits_for}"


def _phase(revision: Revision, clusters: Clusters, choice: Choice) -> RevisionPhase:
    wanted = choice.wanted.name if choice.wanted else ""
    stable = wanted if clusters.is_served else (choice.stable.name if choice.stable else "")
    if revision.name == stable:
        return RevisionPhase.CURRENT
    if revision.failed:
        return RevisionPhase.FAILED
    if choice.updated is not None and revision.name == choice.updated.name:
        return RevisionPhase.UPDATED
    return RevisionPhase.FORMER


def _ready(observed: Observed, clusters: Clusters, choice: Choice, application: str) -> dict[str, int]:
    """Return how many replicas of each revision answer."""
    wanted, stable = choice.wanted, choice.stable
    found: dict[str, int] = {}
    newest = observed.controller(clusters.newest).application(application)
    if wanted is not None and newest is not None:
        is_told = newest.revision == wanted.name
        found[wanted.name] = sum(it.updated for it in newest.deployments) if is_told else 0
    if stable is not None and choice.is_new:
        said = observed.controller(clusters.serving).application(application)
        deployments: tuple[wire.DeploymentStatus, ...] = said.deployments if said is not None else ()
        if clusters.newest != clusters.serving or (said is not None and said.revision == stable.name):
            found[stable.name] = sum(it.ready for it in deployments)
        else:
            found[stable.name] = sum(it.ready - it.updated for it in deployments)
    return found


def _weights(clusters: Clusters, choice: Choice, ready: dict[str, int]) -> dict[str, int]:
    """Return each revision's share of the requests, in a hundred."""
    wanted, stable = choice.wanted, choice.stable
    if wanted is None or stable is None or not choice.is_new or clusters.is_served:
        served = wanted or stable
        return {served.name: 100} if served is not None else {}
    if clusters.newest != clusters.serving:
        return {wanted.name: clusters.weights[clusters.newest], stable.name: clusters.weights[clusters.serving]}
    whole = ready.get(wanted.name, 0) + ready.get(stable.name, 0)
    share = round(100 * ready.get(wanted.name, 0) / whole) if whole else 0
    return {wanted.name: share, stable.name: 100 - share}
