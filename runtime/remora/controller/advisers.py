"""Advisers: policies of the user's that decide instead of the load, whom to ask about what, and what they said last.

Pure. `scaling` asks each second; the question goes to a replica of the application, as the head runs no code of users.
An application's policy decides for all of its autoscaled deployments, and those then have none of their own. Whoever
has not answered is not asked again; what was said long ago counts no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from remora.controller import versions
from remora.controller.autoscaler import Advice
from remora.controller.loads import Name
from remora.controller.state import Deployment, Replica, World
from remora.replica.policy import Answer, PolicyQuestion, Situation, Wish
from remora.types import ReplicaId
from remora_api.autoscaling import Policy

STALE_S = 30.0
"""What a policy said longer ago than this does not hold any more."""
SAY_AGAIN_S = 30.0
"""A policy that goes wrong in another way each time is said this often, and one that answers again after this long."""
MAX_PROBLEM = 200
"""Characters of what is wrong with a policy, for the status."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A policy to be asked, in one of the application's replicas."""

    who: Name
    """Application and deployment; no deployment for an application's policy."""
    policy: Policy
    replica: ReplicaId
    question: PolicyQuestion


@dataclass(slots=True)
class _Adviser:
    """What is known of one policy."""

    policy: Policy
    pending: bool = False
    wishes: Mapping[str, Wish] = field(default_factory=dict)
    heard_at: float = 0
    problem: str = ""
    problem_at: float = 0
    failed_at: float = 0
    told: dict[str, str] = field(default_factory=dict)
    """The problem that the status of a deployment has."""

    def wish(self, deployment: str, now: float) -> int | None:
        said = self.wishes.get(deployment)
        return said.replicas if said is not None and now - self.heard_at <= STALE_S else None


class Advisers:
    """All policies of one controller."""

    def __init__(self) -> None:
        self._known: dict[Name, _Adviser] = {}
        self.failures: dict[Name, int] = {}
        """Answers that were none, by application and deployment."""

    def follow(self, world: World, deployments: Iterable[tuple[str, Deployment]]) -> None:
        """Know the policies of these deployments, and no others; one that was changed begins anew."""
        known: dict[Name, _Adviser] = {}
        for application, deployment in deployments:
            who, policy = _adviser_of(world, application, deployment)
            if policy is not None and who not in known:
                before = self._known.get(who)
                known[who] = before if before is not None and before.policy == policy else _Adviser(policy)
        self._known = known
        self.failures = {who: self.failures.get(who, 0) for who in known}

    def questions(self, world: World, situations: Mapping[Name, Situation], now: float) -> tuple[Asked, ...]:
        """Return what to ask now, for deployments in these situations; `answered` takes what is said."""
        asked = []
        for who, adviser in self._known.items():
            application, deployment = who
            about = [it for name, it in situations.items() if name[0] == application and deployment in ("", name[1])]
            replica = _runs_it(world, who)
            if adviser.pending or replica is None or not about:
                continue
            adviser.pending = True
            question = PolicyQuestion(
                import_path=adviser.policy.import_path,
                args=adviser.policy.args,
                application=application,
                situations=tuple(_with_state(it, adviser) for it in about),
                now=now,
                of_application=not deployment,
            )
            asked.append(Asked(who, adviser.policy, replica, question))
        return tuple(asked)

    def answered(self, asked: Asked, answer: Answer, now: float) -> None:
        """Take in what a policy says, or what is wrong with it; then nothing changes by it."""
        adviser = self._known.get(asked.who)
        if adviser is None or adviser.policy != asked.policy:
            return
        adviser.pending = False
        if not isinstance(answer, str):
            adviser.wishes, adviser.heard_at = answer, now
            if now - adviser.failed_at >= SAY_AGAIN_S:
                adviser.problem = ""
            return
        adviser.failed_at = now
        self.failures[asked.who] = self.failures.get(asked.who, 0) + 1
        # What it remembers stays: it goes on from there.
        adviser.wishes = {name: replace(wish, replicas=None) for name, wish in adviser.wishes.items()}
        if not adviser.problem or now - adviser.problem_at >= SAY_AGAIN_S:
            adviser.problem, adviser.problem_at = answer[:MAX_PROBLEM], now

    def advice(self, world: World, application: str, deployment: Deployment, now: float) -> Advice | None:
        """Return what is said of a deployment; None where the load decides."""
        who, policy = _adviser_of(world, application, deployment)
        if policy is None:
            return None
        adviser = self._known.get(who)
        whose = "policy" if who[1] else "the application's policy"
        return Advice(f"{whose} {policy.import_path}", adviser.wish(deployment.name, now) if adviser else None)

    def news(self, world: World, application: str, deployment: Deployment) -> str:
        """Return what is wrong with a deployment's policy, or that it answers again; empty when that has been said."""
        adviser = self._known.get(_adviser_of(world, application, deployment)[0])
        if adviser is None or adviser.problem == adviser.told.get(deployment.name, ""):
            return ""
        adviser.told[deployment.name] = adviser.problem
        return adviser.problem or f"policy {adviser.policy.import_path} answers again"


def _adviser_of(world: World, application: str, deployment: Deployment) -> tuple[Name, Policy | None]:
    """Return whose policy decides for a deployment: the application's comes before its own."""
    target = world.targets.get(application)
    if target is not None and target.autoscaling_policy is not None:
        return (application, ""), target.autoscaling_policy
    return (application, deployment.name), deployment.autoscaling.policy if deployment.autoscaling else None


def _runs_it(world: World, who: Name) -> ReplicaId | None:
    """Return the replica to ask: of the newest code, then of the deployment itself (or the ingress), the oldest.

    Every replica of an application has all of its code, so that a deployment at zero is asked about, too.
    """
    application, deployment = who
    serving = world.serving.get(application)
    versions_now = {it.name: it.version for it in versions.resolve(serving)} if serving else {}

    def rank(replica: Replica) -> tuple[bool, bool, float, str]:
        is_own = replica.deployment == deployment if deployment else replica.ingress
        return (
            replica.version != versions_now.get(replica.deployment),
            not is_own,
            replica.started_at,
            replica.id,
        )

    ready = [it for it in world.replicas.values() if it.application == application and it.is_ready]
    return min(ready, key=rank).id if ready else None


def _with_state(situation: Situation, adviser: _Adviser) -> Situation:
    said = adviser.wishes.get(situation.deployment)
    return replace(situation, state=said.state) if said is not None else situation
