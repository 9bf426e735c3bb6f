"""Surge: how many worker pods of a new template there may be while those of the old one are still there.

Pure. Replicas move one after the other, within their deployment's maxSurge and maxUnavailable; pods follow, so that
both templates together stay within what the surge needs and nobody pays for a second set of workers.
"""

from __future__ import annotations

from collections.abc import Iterable

from remora_api import wire
from remora_operator.advice import UNSCHEDULABLE
from remora_operator.demand import Need, in_gangs
from remora_operator.observed import Pod


def fresh_needs(status: wire.ApplicationStatus, max_surge: int) -> list[Need]:
    """Return the replicas that may be on pods of the new templates by now: as many as the surge has room for.

    A replica that drains, or is of an older version or template, takes its place until it is gone; so the pods of both
    templates together are never more than the deployments' numbers and their surge need.
    """
    return [
        Need(
            deployment=it.name,
            replicas=max(0, min(it.desired, it.desired + in_gangs(max_surge, it) - (it.total - it.updated))),
            resources=it.resources,
            spread=it.spread and it.desired > 1,
            per_node=it.max_replicas_per_node,
            group=it.group,
        )
        for it in status.deployments
    ]


def room(wanted: int, present: int, fresh: int | None, *, is_rolling: bool, may_build: bool) -> int:
    """Return how many pods a template may have now.

    `wanted` is what all replicas need, `fresh` what those need that may be there by now, None while the code is not
    imported yet: then one pod is enough, if there `may_build` be one. What is `present` never shrinks for this.
    """
    if not is_rolling:
        return wanted
    allowed = int(may_build) if fresh is None else max(fresh, int(may_build))
    return max(min(present, wanted), min(wanted, allowed))


def is_stuck(pods: Iterable[Pod], targets: Iterable[wire.GroupTarget], incarnation: int) -> bool:
    """Whether a pod of a wanted template finds no node."""
    wanted = {(it.name, it.template) for it in targets}
    return any(
        pod.trouble.startswith(UNSCHEDULABLE) and pod.is_active
        for pod in pods
        if pod.incarnation == incarnation and (pod.group, pod.template) in wanted
    )


def yielding(target: wire.Target, deployments: Iterable[wire.DeploymentStatus]) -> wire.Target:
    """Return the target with one replica of each deployment of several free to go before its successor has a place.

    What a deployment says itself of `maxUnavailable` stands.
    """
    given = {it.name: it for it in target.deployments}
    for it in deployments:
        override = given.get(it.name, wire.DeploymentOverride(name=it.name))
        if it.desired > 1 and override.max_unavailable is None:
            given[it.name] = override.but(max_unavailable=1)
    return target.but(deployments=tuple(given.values()))
