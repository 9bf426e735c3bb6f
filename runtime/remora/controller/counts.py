"""Counts: who says how many replicas a deployment has. The first of these that says anything does:

1. ``deployments[].replicas`` of the resource
2. ``deployments[].autoscaling`` of the resource
3. ``autoscaling_config`` of the code, or ``num_replicas="auto"``
4. ``spec.replicas`` of the resource, for the ingress deployment only
5. ``num_replicas`` of the code

An application that is asleep has none, whoever says what; and all of them are for an application at its whole capacity.

Pure. What autoscaling has decided is given; `autoscaler` decides it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from remora.controller.state import BuiltDeployment, Scaled
from remora_api import capacity
from remora_api.autoscaling import Autoscaling
from remora_api.wire import DeploymentOverride, Target
from remora_api.wire_group import gangs_for


@dataclass(frozen=True, slots=True)
class Count:
    """A number of replicas, and where it comes from."""

    count: int
    reason: str
    autoscaling: Autoscaling | None = None


ASLEEP = "at zero, as nobody asks"


def decide(
    target: Target, built: BuiltDeployment, given: DeploymentOverride, scaled: Scaled | None, *, ingress: bool
) -> Count:
    """Return the number for one deployment: of gangs, whole ones."""
    found = _decide(target, built, given, scaled, ingress=ingress)
    size = 1 if built.gang is None else built.gang.size
    count = whole(found.count, size, found.autoscaling)
    if count == found.count:
        return found
    return replace(found, count=count, reason=f"{found.reason}: {found.count}, in gangs of {size}")


def whole(count: int, size: int, limits: Autoscaling | None) -> int:
    """Return the number of replicas in whole gangs that is as many, or the most that autoscaling allows."""
    up = gangs_for(count, size) * size
    return up if limits is None or up <= max(limits.max_replicas, size) else count // size * size


def _decide(
    target: Target, built: BuiltDeployment, given: DeploymentOverride, scaled: Scaled | None, *, ingress: bool
) -> Count:
    if target.asleep:
        return Count(0, ASLEEP)
    found = _at_whole_capacity(target, built, given, scaled, ingress=ingress)
    if target.capacity is None:
        return found
    percent = f"{target.capacity:g} % of the capacity"
    if found.autoscaling is None or target.capacity == 0:
        return Count(capacity.share(found.count, target.capacity), f"{found.reason}, at {percent}")
    autoscaling = capacity.bounds(found.autoscaling, target.capacity)
    if scaled is None:
        return Count(autoscaling.first, f"{begins(autoscaling)}, at {percent}", autoscaling)
    return Count(scaled.count, scaled.reason, autoscaling)


def _at_whole_capacity(
    target: Target, built: BuiltDeployment, given: DeploymentOverride, scaled: Scaled | None, *, ingress: bool
) -> Count:
    if given.replicas is not None:
        return Count(given.replicas, f"replicas of deployment {built.name} in the resource")
    autoscaling = given.autoscaling or built.autoscaling
    if autoscaling is not None:
        if scaled is None:
            return Count(autoscaling.first, begins(autoscaling), autoscaling)
        return Count(scaled.count, scaled.reason, autoscaling)
    if ingress and target.ingress_replicas is not None:
        return Count(target.ingress_replicas, "spec.replicas")
    return Count(built.replicas, "num_replicas in the code")


def begins(autoscaling: Autoscaling) -> str:
    """Say where an autoscaled deployment begins."""
    name = "minReplicas" if autoscaling.initial_replicas is None else "initialReplicas"
    return f"autoscaling begins with {name}, {autoscaling.first}"
