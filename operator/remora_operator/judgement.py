"""Judgement: what the state of a rollout means for the record of its revision.

Pure. A revision that cannot come up, or does worse than the one that serves, is marked as failed, and the next plan
goes back to the stable one. Nothing else ever takes a revision back: a pin is somebody's decision.
"""

from __future__ import annotations

from dataclasses import replace

from remora_api.meta import Reason
from remora_api.v1alpha1 import ServeApplication
from remora_operator.incarnations import Clusters
from remora_operator.observed import Observed
from remora_operator.revisions import Choice
from remora_operator.verdict import Verdict

HOPELESS = frozenset(
    (Reason.BUILD_FAILED, Reason.REPLICAS_FAILING, Reason.NO_CAPACITY, Reason.PROGRESS_DEADLINE_EXCEEDED)
)
"""Waiting does not help: the code, the replicas, the room, or the time."""


def judged(
    choice: Choice, clusters: Clusters, outcome: Verdict, application: ServeApplication, complaint: str = ""
) -> Choice:
    """Return the choice with what has become of the wanted revision; `complaint` is what the analysis has found."""
    wanted = choice.wanted
    if wanted is None or not choice.is_new:
        return choice
    if clusters.stage is not None and (clusters.stage.step, clusters.stage.since) != (wanted.step, wanted.since):
        wanted = replace(wanted, step=clusters.stage.step, since=clusters.stage.since)
    if clusters.is_served or choice.is_pinned or wanted.failed:
        return choice.having(wanted)
    if complaint:
        wanted = replace(wanted, failed=complaint)
    elif application.spec.rollout.auto_rollback and outcome.is_stalled and outcome.reason in HOPELESS:
        wanted = replace(wanted, failed=f"{outcome.reason.value}: {outcome.message}"[:900])
    return choice.having(wanted)


def refusal(choice: Choice, observed: Observed, application: ServeApplication) -> str:
    """Return why the API server does not take the wanted revision; empty unless it was refused, and may go back."""
    refused, wanted = observed.refused, choice.wanted
    if refused is None or wanted is None or not application.spec.rollout.auto_rollback:
        return ""
    if (refused.revision, refused.number) != (wanted.name, wanted.number):
        return ""
    return f"{Reason.APPLY_FAILED.value}: {refused.message}"[:900]
