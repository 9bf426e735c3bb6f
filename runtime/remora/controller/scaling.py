"""Scaling: joins what is reported (`loads`), what is decided (`autoscaler`), and what the planner follows.

The loop asks once a second while anything is autoscaled, and at once when a request has come to a deployment without
replicas.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from remora.controller import autoscaler, counts, scaling_metrics, versions
from remora.controller.advisers import Advisers, Asked
from remora.controller.autoscaler import Floor
from remora.controller.events import ReplicasScaled
from remora.controller.loads import Loads, Name
from remora.controller.scaling_metrics import Figures
from remora.controller.state import Deployment, Scaled, World
from remora.replica.policy import Answer, Situation
from remora_api import cron
from remora_api.autoscaling import STAYS, Autoscaling, Schedule
from remora_api.wire import LoadReport

log = logging.getLogger("remora.controller")


class Scaling:
    """Decides for all autoscaled deployments of one controller."""

    def __init__(self) -> None:
        self._loads = Loads()
        self._figures: dict[Name, Figures] = {}
        self._told_zones: set[tuple[Name, str]] = set()
        self._advisers = Advisers()

    def take(self, report: LoadReport, world: World, now: float) -> bool:
        """Take in a report; True if a deployment at zero should be looked at without delay."""
        if not self._loads.take(report, now):
            return False
        asleep = {(app, it.name) for app, it in _autoscaled(world) if it.count == 0}
        return any((it.application, it.deployment) in asleep for it in report.deployments if it.arrived)

    @property
    def goes_on(self) -> bool:
        """Whether anything was autoscaled when `decide` looked last; if not, nobody needs to ask until `begins`."""
        return bool(self._figures)

    def begins(self, world: World) -> bool:
        """Return whether something is autoscaled now, and nothing was before."""
        return not self._figures and any(True for _ in _autoscaled(world))

    def questions(self, world: World, now: float) -> tuple[Asked, ...]:
        """Return the policies to ask now; `answered` takes what they say. One that has not answered is not asked."""
        found = list(_autoscaled(world))
        self._advisers.follow(world, found)
        situations = {(app, it.name): self._situation(world, app, it, now) for app, it in found}
        return self._advisers.questions(world, situations, now)

    def answered(self, asked: Asked, answer: Answer, now: float) -> None:
        """Take in what a policy says, or what is wrong with it; then nothing changes by it."""
        self._advisers.answered(asked, answer, now)

    def _situation(self, world: World, application: str, deployment: Deployment, now: float) -> Situation:
        limits, name = deployment.autoscaling, (application, deployment.name)
        assert limits is not None
        figures = self._figures.get(name) or Figures(limits)
        requests, queued = autoscaler.recent(limits, figures.state, now)
        ready = sorted(
            it.id for it in world.replicas.values() if (it.application, it.deployment) == name and it.is_ready
        )
        return Situation(
            deployment=deployment.name,
            current=len(ready),
            target=deployment.count,
            replicas=tuple(ready),
            requests=requests,
            queued=queued,
            least=self._floor(limits, now).least,
            most=limits.max_replicas,
            scaled_up_at=figures.up_at,
            scaled_down_at=figures.down_at,
            limits=limits.to_plain(),
        )

    def decide(self, world: World, now: float) -> tuple[ReplicasScaled, ...]:
        """Return what has to change now."""
        found = list(_autoscaled(world))
        names = {(application, deployment.name) for application, deployment in found}
        self._figures = {name: figures for name, figures in self._figures.items() if name in names}
        self._loads.keep(names)
        changed: dict[str, dict[str, Scaled]] = {}
        for application, deployment in found:
            scaled = self._one(world, application, deployment, now)
            if scaled is not None:
                changed.setdefault(application, {})[deployment.name] = scaled
        return tuple(ReplicasScaled(application, scaled) for application, scaled in changed.items())

    def _one(self, world: World, application: str, deployment: Deployment, now: float) -> Scaled | None:
        limits = deployment.autoscaling
        assert limits is not None
        name = (application, deployment.name)
        figures = self._figures.setdefault(name, Figures(limits))
        floor, advice = self._floor(limits, now), self._advisers.advice(world, application, deployment, now)
        meanwhile = world.serving[application].target.at_least.get(deployment.name, 0)
        floor = replace(floor, least=max(floor.least, meanwhile))
        sample = self._loads.sample(name, now)
        decision = autoscaler.decide(limits, figures.state, sample, deployment.count, now, floor, advice)
        figures.state, figures.count, figures.limits, figures.least = (
            decision.state,
            decision.count,
            limits,
            floor.least,
        )
        size = 1 if deployment.gang is None else deployment.gang.size
        if counts.whole(decision.count, size, limits) == deployment.count:
            return self._problem(world, application, deployment)
        if decision.count > deployment.count:
            figures.ups, figures.up_at = figures.ups + 1, now
        else:
            figures.downs, figures.down_at = figures.downs + 1, now
        log.info("application %s: deployment %s %s", application, deployment.name, decision.reason)
        return Scaled(decision.count, decision.reason)

    def _problem(self, world: World, application: str, deployment: Deployment) -> Scaled | None:
        """Return the number as it is, with what is wrong with its policy or schedules as the reason, once."""
        news = self._advisers.news(world, application, deployment) or self._zones(application, deployment)
        if not news:
            return None
        log.warning("application %s: deployment %s: %s", application, deployment.name, news)
        return Scaled(deployment.count, f"{STAYS} {deployment.count}: {news}")

    def _zones(self, application: str, deployment: Deployment) -> str:
        """Say, once, that a schedule's time zone is not known."""
        for schedule in deployment.autoscaling.schedules if deployment.autoscaling else ():
            told = ((application, deployment.name), schedule.time_zone)
            if _zone(schedule.time_zone) is None and told not in self._told_zones:
                self._told_zones.add(told)
                return f"time zone {schedule.time_zone} of schedule {schedule.name} is not known: taken as Etc/UTC"
        return ""

    def _floor(self, limits: Autoscaling, now: float) -> Floor:
        """Return the least number of replicas now, and the schedule that asks for it, if one does."""
        floor = Floor(limits.min_replicas)
        for schedule in limits.schedules:
            if schedule.min_replicas > floor.least and _is_on(schedule, now):
                floor = Floor(schedule.min_replicas, schedule.name)
        return floor

    def metrics(self) -> Iterator[str]:
        """Return the lines for Prometheus."""
        return scaling_metrics.lines(self._figures, self._advisers.failures)


def _is_on(schedule: Schedule, now: float) -> bool:
    there = _zone(schedule.time_zone) or UTC
    moment = datetime.fromtimestamp(now, there).replace(tzinfo=None, second=0, microsecond=0)
    return cron.is_between(schedule.start, schedule.end, moment)


def _zone(name: str) -> ZoneInfo | None:
    """Return the time zone; None when it is not known."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _autoscaled(world: World) -> Iterator[tuple[str, Deployment]]:
    for application in world.targets:
        serving = world.serving.get(application)
        # Without a number to go on from nothing is autoscaled, and nothing has to be looked at.
        for deployment in versions.resolve(serving) if serving and serving.scaled else ():
            if deployment.autoscaling is not None:
                yield application, deployment
