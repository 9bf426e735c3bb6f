"""Scaling: joins what is reported (`loads`), what is decided (`autoscaler`), and what the planner follows.

The loop asks once a second, and at once when a request has come to a deployment without replicas.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from remora.controller import autoscaler, versions
from remora.controller.events import ReplicasScaled
from remora.controller.loads import Loads, Name
from remora.controller.state import Deployment, Scaled, World
from remora.replica.policy import AutoscalingContext, Wish
from remora.types import ReplicaId
from remora_api import cron
from remora_api.autoscaling import Autoscaling, Policy
from remora_api.wire import LoadReport

log = logging.getLogger("remora.controller")

MAX_PROBLEM = 200


@dataclass(frozen=True, slots=True)
class PolicyAsked:
    """A policy to be asked, in one of the deployment's replicas."""

    name: Name
    replica: ReplicaId
    policy: Policy
    context: AutoscalingContext


@dataclass(slots=True)
class _Asking:
    """What is known of one deployment's policy."""

    policy: Policy
    pending: bool = False
    wish: Wish | None = None
    problem: str = ""
    told: str = ""
    """The problem that the status has."""


@dataclass(slots=True)
class _Figures:
    """One autoscaled deployment for the metrics."""

    limits: Autoscaling
    state: autoscaler.State = field(default_factory=autoscaler.State)
    count: int = 0
    ups: int = 0
    downs: int = 0
    up_at: float | None = None
    down_at: float | None = None


class Scaling:
    """Decides for all autoscaled deployments of one controller."""

    def __init__(self) -> None:
        self._loads = Loads()
        self._figures: dict[Name, _Figures] = {}
        self._unknown_zones: set[str] = set()
        self._asking: dict[Name, _Asking] = {}

    def take(self, report: LoadReport, world: World, now: float) -> bool:
        """Take in a report; True if a deployment at zero should be looked at without delay."""
        if not self._loads.take(report, now):
            return False
        asleep = {(app, it.name) for app, it in _autoscaled(world) if it.count == 0}
        return any((it.application, it.deployment) in asleep for it in report.deployments if it.arrived)

    def policies(self, world: World, now: float) -> tuple[PolicyAsked, ...]:
        """Return the policies to ask now; `answered` takes what they say. One that has not answered is not asked."""
        asked = []
        current: dict[Name, _Asking] = {}
        for application, deployment in _autoscaled(world):
            policy, name = (
                deployment.autoscaling.policy if deployment.autoscaling else None,
                (application, deployment.name),
            )
            if policy is None:
                continue
            asking = self._asking.get(name)
            if asking is None or asking.policy != policy:
                asking = _Asking(policy)
            current[name] = asking
            ready = sorted(
                (r for r in world.replicas.values() if (r.application, r.deployment) == name and r.is_ready),
                key=lambda r: (r.version != deployment.version, r.started_at, r.id),
            )
            if not ready or asking.pending:
                continue
            asking.pending = True
            asked.append(
                PolicyAsked(name, ready[0].id, policy, self._context(name, deployment, asking, len(ready), now))
            )
        self._asking = current
        return tuple(asked)

    def answered(self, asked: PolicyAsked, said: Wish | str) -> None:
        """Take in what a policy says, or what is wrong with it; then nothing changes by it."""
        asking = self._asking.get(asked.name)
        if asking is None or asking.policy != asked.policy:
            return
        asking.pending = False
        if isinstance(said, Wish):
            asking.wish, asking.problem = said, ""
        else:
            asking.wish, asking.problem = None, said[:MAX_PROBLEM]

    def _context(
        self, name: Name, deployment: Deployment, asking: _Asking, ready: int, now: float
    ) -> AutoscalingContext:
        limits, figures = deployment.autoscaling, self._figures.get(name)
        assert limits is not None
        last = figures.state.samples[-1] if figures and figures.state.samples else autoscaler.Sample(now, 0, 0)
        return AutoscalingContext(
            app_name=name[0],
            deployment_name=name[1],
            current_num_replicas=ready,
            target_num_replicas=deployment.count,
            total_num_requests=last.load,
            total_queued_requests=last.queued,
            total_running_requests=last.ongoing,
            capacity_adjusted_min_replicas=self._least(limits, now)[0],
            capacity_adjusted_max_replicas=limits.max_replicas,
            current_time=now,
            last_scale_up_time=figures.up_at if figures else None,
            last_scale_down_time=figures.down_at if figures else None,
            config=limits.model_dump(mode="json"),
            policy_state=asking.wish.state if asking.wish else {},
        )

    def decide(self, world: World, now: float) -> tuple[ReplicasScaled, ...]:
        """Return what has to change now."""
        found = list(_autoscaled(world))
        names = {(application, deployment.name) for application, deployment in found}
        self._figures = {name: figures for name, figures in self._figures.items() if name in names}
        self._loads.keep(names)
        changed: dict[str, dict[str, Scaled]] = {}
        for application, deployment in found:
            scaled = self._one(application, deployment, now)
            if scaled is not None:
                changed.setdefault(application, {})[deployment.name] = scaled
        return tuple(ReplicasScaled(application, scaled) for application, scaled in changed.items())

    def _one(self, application: str, deployment: Deployment, now: float) -> Scaled | None:
        limits = deployment.autoscaling
        assert limits is not None
        name = (application, deployment.name)
        figures = self._figures.setdefault(name, _Figures(limits))
        least, schedule = self._least(limits, now)
        sample, asking = self._loads.sample(name, now), self._asking.get(name)
        wish = asking.wish.replicas if asking is not None and asking.wish is not None else None
        decision = autoscaler.decide(limits, figures.state, sample, deployment.count, now, least, schedule, wish)
        figures.state, figures.count, figures.limits = decision.state, decision.count, limits
        if decision.count == deployment.count:
            return _problem(asking, deployment)
        if decision.count > deployment.count:
            figures.ups, figures.up_at = figures.ups + 1, now
        else:
            figures.downs, figures.down_at = figures.downs + 1, now
        log.info("application %s: deployment %s %s", application, deployment.name, decision.reason)
        return Scaled(decision.count, decision.reason)

    def _least(self, limits: Autoscaling, now: float) -> tuple[int, str]:
        """Return the least number of replicas now, and the schedule that asks for it, if one does."""
        least, name = limits.min_replicas, ""
        for schedule in limits.schedules:
            if schedule.min_replicas > least and self._is_on(schedule.start, schedule.end, schedule.time_zone, now):
                least, name = schedule.min_replicas, schedule.name
        return least, name

    def _is_on(self, start: str, end: str, zone: str, now: float) -> bool:
        try:
            there = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            if zone not in self._unknown_zones:
                self._unknown_zones.add(zone)
                log.warning("time zone %s of a schedule is not known here: taken as Etc/UTC", zone)
            there = ZoneInfo("Etc/UTC") if zone != "Etc/UTC" else UTC  # type: ignore[assignment]
        moment = datetime.fromtimestamp(now, there).replace(tzinfo=None, second=0, microsecond=0)
        return cron.is_between(start, end, moment)

    def metrics(self) -> Iterator[str]:
        """Return the lines for Prometheus."""
        gauges = (
            ("desired_replicas", "Replicas that autoscaling wants.", lambda it: it.count),
            ("min_replicas", "Least replicas.", lambda it: it.limits.min_replicas),
            ("max_replicas", "Most replicas.", lambda it: it.limits.max_replicas),
            ("requests", "Requests that waited or were worked on at the last look.", _last_load),
        )
        for name, text, value in gauges:
            yield f"# HELP remora_autoscaling_{name} {text}"
            yield f"# TYPE remora_autoscaling_{name} gauge"
            for (application, deployment), figures in sorted(self._figures.items()):
                labels = f'application="{application}",deployment="{deployment}"'
                yield f"remora_autoscaling_{name}{{{labels}}} {value(figures)}"
        yield "# HELP remora_autoscaling_decisions_total Changes of the number of replicas."
        yield "# TYPE remora_autoscaling_decisions_total counter"
        for (application, deployment), figures in sorted(self._figures.items()):
            for direction, count in (("up", figures.ups), ("down", figures.downs)):
                labels = f'application="{application}",deployment="{deployment}",direction="{direction}"'
                yield f"remora_autoscaling_decisions_total{{{labels}}} {count}"


def _problem(asking: _Asking | None, deployment: Deployment) -> Scaled | None:
    """Return the number as it is with what is wrong with its policy as the reason, once."""
    if asking is None or asking.problem == asking.told:
        return None
    asking.told = asking.problem
    log.warning("deployment %s: %s", deployment.name, asking.problem or "its policy answers again")
    return Scaled(
        deployment.count, f"autoscaling stays at {deployment.count}: {asking.problem or 'the policy answers again'}"
    )


def _last_load(figures: _Figures) -> float:
    return figures.state.samples[-1].load if figures.state.samples else math.nan


def _autoscaled(world: World) -> Iterator[tuple[str, Deployment]]:
    for application in world.targets:
        serving = world.serving.get(application)
        # Without a number to go on from nothing is autoscaled, and nothing has to be looked at.
        for deployment in versions.resolve(serving) if serving and serving.scaled else ():
            if deployment.autoscaling is not None:
                yield application, deployment
