"""Autoscaling of one deployment, as people write it in the resource."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import Field

from remora_api import cron
from remora_api.model import FreeForm, Int, ListMap, Model, Quantity, Rule, matches
from remora_api.v1alpha1 import imports

Replicas = Annotated[Int, Ge(0), Le(1000)]
Delay = Annotated[Int, Ge(0), Le(86400)]
Expression = Annotated[
    str,
    MinLen(9),
    MaxLen(cron.MAX_LENGTH),
    matches(
        cron.PATTERN,
        "must be a cron expression of five fields: minute, hour, day of month, month, day of week, for instance "
        "0 8 * * 1-5 for working days at 8",
    ),
]
_POSITIVE = Rule(
    "string(self).matches(r'^[0-9.]*[1-9]')",
    "must be above 0, for instance 2 or 1.5",
    lambda text: re.match(r"[0-9.]*[1-9]", text) is not None,
)
Amount = Annotated[Quantity, _POSITIVE]


class AggregationFunction(StrEnum):
    """What is made of the samples of the look-back period."""

    MEAN = "Mean"
    MAX = "Max"
    MIN = "Min"


class Schedule(Model):
    """A time of the day, the week or the year during which there are more replicas at least."""

    name: Annotated[str, MinLen(1), MaxLen(63)]
    """Name of the schedule, for instance office-hours; decisions name it."""
    start: Expression
    """When it begins, as a cron expression, for instance `0 8 * * 1-5`."""
    end: Expression
    """When it ends, as a cron expression, for instance `0 18 * * 1-5`."""
    time_zone: Annotated[
        str,
        MinLen(1),
        MaxLen(64),
        matches(
            r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*",
            "must be a time zone's name, for instance Europe/Berlin or Etc/UTC",
        ),
    ] = "Etc/UTC"
    """The time zone of both, for instance `Europe/Berlin`."""
    min_replicas: Replicas
    """Replicas that there are at least meanwhile."""


class Policy(Model):
    """A function in your code that says how many replicas there should be, instead of the load."""

    import_path: Annotated[
        str,
        MinLen(3),
        MaxLen(256),
        matches(
            imports.ATTRIBUTE,
            "must be module:attribute, for instance scaling:by_queue for the function by_queue in scaling.py",
        ),
    ]
    """Where the function is: module:attribute. It takes an AutoscalingContext and returns a number, or a number and a
    dict that it gets back next time; a class is constructed once and then called so. It runs in a replica of the
    deployment, about once a second."""
    args: Annotated[dict[str, Any], FreeForm()] = Field(default_factory=dict)
    """Keyword arguments of the function, or of the class."""


class Autoscaling(Model):
    """How many replicas of a deployment there are, by the requests that wait and are worked on. The resource itself is
    never changed: what was decided, and why, stands in its status."""

    RULES: ClassVar = (
        Rule(
            "self.minReplicas <= self.maxReplicas",
            "minReplicas must not be above maxReplicas: lower it or raise maxReplicas",
            lambda it: it.min_replicas <= it.max_replicas,
            field=".minReplicas",
        ),
        Rule(
            "!has(self.initialReplicas) || (self.minReplicas <= self.initialReplicas "
            "&& self.initialReplicas <= self.maxReplicas)",
            "initialReplicas must lie between minReplicas and maxReplicas",
            lambda it: it.initial_replicas is None or it.min_replicas <= it.initial_replicas <= it.max_replicas,
            field=".initialReplicas",
        ),
        Rule(
            "!has(self.schedules) || self.schedules.all(it, it.minReplicas <= self.maxReplicas)",
            "minReplicas of a schedule must not be above maxReplicas: lower it or raise maxReplicas",
            lambda it: all(schedule.min_replicas <= it.max_replicas for schedule in it.schedules),
            field=".schedules",
        ),
    )

    min_replicas: Replicas = 1
    """Replicas that there are at least. With 0 the last one goes when there are no requests, and the next request waits
    for a new one."""
    initial_replicas: Replicas | None = None
    """Replicas to begin with; minReplicas unless given."""
    max_replicas: Annotated[Int, Ge(1), Le(1000)]
    """Replicas that there are at most."""
    target_ongoing_requests: Amount = "2"
    """Requests per replica, waiting ones included, that are right: there are as many replicas as keep to it. For
    instance 2 or 1.5."""
    look_back_period_seconds: Annotated[Int, Ge(1), Le(3600)] = 30
    """Seconds over which requests are counted, once a second."""
    aggregation_function: AggregationFunction = AggregationFunction.MEAN
    """What is made of these counts: Mean, Max or Min."""
    upscaling_factor: Amount = "1"
    """Share of the way up that one decision goes: 0.5 takes more, smaller steps; above 1 goes further than is asked
    for."""
    downscaling_factor: Amount = "1"
    """Share of the way down that one decision goes."""
    upscale_delay_seconds: Delay = 30
    """Seconds for which more replicas must be asked for before there are more."""
    downscale_delay_seconds: Delay = 600
    """Seconds for which fewer replicas must be asked for before there are fewer."""
    downscale_to_zero_delay_seconds: Delay | None = None
    """Seconds without any request before the last replica goes; downscaleDelaySeconds unless given. Only with
    minReplicas 0."""
    panic_window_seconds: Annotated[Int, Ge(1), Le(3600)] = 6
    """Seconds over which a sudden rise is looked for."""
    panic_threshold_percent: Annotated[Int, Ge(0), Le(10000)] = 200
    """When requests over the panic window need this many percent of the replicas that there are, more come without
    delay, and none go for lookBackPeriodSeconds. 0 turns this off."""
    schedules: Annotated[tuple[Schedule, ...], MaxLen(16), ListMap()] = ()
    """Times with more replicas at least, by name."""
    policy: Policy | None = None
    """A function of your own instead of the rules about requests. Bounds, schedules and delays hold for it, too."""
