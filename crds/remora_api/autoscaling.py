"""How many replicas follow the load, as values that travel: from the resource or the code to the controller.

Pure. `v1alpha1.autoscaling` is what people write in the resource, `remora.graph.autoscaling` what they write in code;
both end here, in seconds and requests.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import field

from remora_api.message import Message

STAYS = "autoscaling stays at"
"""Reasons that begin so are no decision: they say what is wrong with a policy or a schedule."""


class Aggregation(StrEnum):
    """What is made of the samples of the look-back period."""

    MEAN = "Mean"
    MAX = "Max"
    MIN = "Min"


class Schedule(Message, frozen=True, kw_only=True):
    """A time of day, week or year with more replicas at least."""

    name: str
    start: str
    """Cron expression."""
    end: str
    """Cron expression."""
    time_zone: str = "Etc/UTC"
    """IANA name."""
    min_replicas: int


class Policy(Message, frozen=True, kw_only=True):
    """A function of the user's that says how many replicas there should be."""

    import_path: str
    """``module:attribute`` in the application's code."""
    args: dict[str, Any] = field(default_factory=dict)
    """Its keyword arguments, or its class's."""


class Autoscaling(Message, frozen=True, kw_only=True):
    """One deployment's autoscaling. Names and defaults are those of Ray Serve's AutoscalingConfig where it has them."""

    min_replicas: int = 1
    max_replicas: int = 100
    initial_replicas: int | None = None
    """None begins with min_replicas."""
    target_ongoing_requests: float = 2.0
    """Requests per replica, waiting ones included, that are right."""
    look_back_period_s: float = 30.0
    upscaling_factor: float = 1.0
    """Share of the way up to what the load asks for that one decision goes."""
    downscaling_factor: float = 1.0
    upscale_delay_s: float = 30.0
    """For how long more has to be asked for before there is more."""
    downscale_delay_s: float = 600.0
    downscale_to_zero_delay_s: float | None = None
    """For how long there must be no request before the last replica goes; None is downscale_delay_s."""
    aggregation: Aggregation = Aggregation.MEAN
    panic_window_s: float = 6.0
    panic_threshold_percent: int = 200
    """Load over the panic window, in percent of what the replicas are for, from which there is no delay; 0 is never."""
    schedules: tuple[Schedule, ...] = ()
    policy: Policy | None = None
    """Instead of the load; bounds and delays hold for it, too."""

    @property
    def first(self) -> int:
        """Replicas to begin with."""
        first = self.min_replicas if self.initial_replicas is None else self.initial_replicas
        return min(max(first, self.min_replicas), self.max_replicas)

    @property
    def to_zero_delay_s(self) -> float:
        """Seconds without a request after which the last replica goes."""
        delay = self.downscale_to_zero_delay_s
        return self.downscale_delay_s if delay is None else delay
