"""How a new revision takes the place of the old one: `spec.rollout`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from annotated_types import Ge, Le, MaxLen, MinLen

from remora_api.model import Bool, Int, Model, Rule, Unwritten
from remora_api.v1alpha1.paths import PreviewPath
from remora_api.v1alpha1.traffic import HeaderName

Percent = Annotated[Int, Ge(0), Le(100)]


class Strategy(StrEnum):
    """Kinds of rollout."""

    ROLLING = "Rolling"
    BLUE_GREEN = "BlueGreen"
    CANARY = "Canary"


class Quantile(StrEnum):
    """Which latency is compared."""

    P50 = "p50"
    P90 = "p90"
    P95 = "p95"
    P99 = "p99"


class CanaryStep(Model):
    """One stage of a canary."""

    weight: Percent
    """Requests in a hundred that the new revision gets; 0 lets only requests that ask for it reach it."""
    pause_seconds: Annotated[Int, Ge(0), Le(604800)] | None = None
    """Seconds until the next step. Without it the step lasts until `remora rollout promote`."""


class Analysis(Model):
    """When a canary is given up, by the proxies' own figures of the last minute."""

    max_error_percent: Percent = 5
    """Answers of status 500 and above, in a hundred, that the new revision may give more than the old one."""
    max_latency_percent: Annotated[Int, Ge(100), Le(100000)] | None = None
    """The new revision's latency in percent of the old one's, at the quantile, at most; for instance 150. Not compared
    unless given."""
    latency_quantile: Quantile = Quantile.P95
    """The quantile at which latency is compared: p50, p90, p95 or p99."""
    min_requests: Annotated[Int, Ge(1), Le(1000000)] = 50
    """Requests that the new revision must have answered in the last minute before anything is concluded."""


class Canary(Model):
    """A new revision gets a growing share of the requests, from a Ray cluster of its own."""

    steps: Annotated[tuple[CanaryStep, ...], MinLen(1), MaxLen(20), Unwritten()] = (
        CanaryStep(weight=5, pause_seconds=60),
        CanaryStep(weight=25, pause_seconds=60),
        CanaryStep(weight=50, pause_seconds=60),
    )
    """Stages, one after the other; after the last one the new revision gets everything."""
    analysis: Analysis | None = None
    """Give the canary up by itself when it fails more, or is slower, than the revision that serves."""


class BlueGreen(Model):
    """A new revision is brought up whole beside the old one, and gets all requests at once."""

    preview_header: HeaderName = "x-remora-preview"
    """Requests with this header, whatever its value, go to the new revision before it is promoted."""
    preview_path: PreviewPath | None = None
    """Path below which the new revision answers before it is promoted, for instance `/preview`, for browsers and others
    that send no header of their own. It is the root path that the application sees."""
    auto_promote_seconds: Annotated[Int, Ge(0), Le(604800)] | None = None
    """Seconds after it is ready at which it is promoted. Unless given it waits for `remora rollout promote`."""


class Rollout(Model):
    """How a new revision takes the place of the old one."""

    RULES: ClassVar = (
        Rule(
            "self.maxSurge > 0 || (has(self.maxUnavailable) && self.maxUnavailable > 0)",
            "maxSurge and maxUnavailable cannot both be 0, as no replica could ever be replaced: set one to 1 or more",
            lambda it: it.max_surge > 0 or bool(it.max_unavailable),
            field=".maxSurge",
        ),
        Rule(
            "!has(self.canary) || self.strategy == 'Canary'",
            "canary is only for strategy Canary: set strategy: Canary, or remove canary",
            lambda it: it.canary is None or it.strategy is Strategy.CANARY,
            field=".canary",
        ),
        Rule(
            "!has(self.blueGreen) || self.strategy == 'BlueGreen'",
            "blueGreen is only for strategy BlueGreen: set strategy: BlueGreen, or remove blueGreen",
            lambda it: it.blue_green is None or it.strategy is Strategy.BLUE_GREEN,
            field=".blueGreen",
        ),
    )

    strategy: Strategy = Strategy.ROLLING
    """Rolling replaces replicas one by one. Canary gives a new revision a growing share of the requests. BlueGreen
    brings it up whole and waits for a word before it gets any. The latter two need room for both."""
    max_surge: Annotated[Int, Ge(0), Le(100)] = 1
    """Replicas of a deployment that may be there beyond its number meanwhile."""
    max_unavailable: Annotated[Int, Ge(0), Le(100)] | None = None
    """Replicas of a deployment that may be missing meanwhile. Unless given none is, but for one of two or more when no
    node has room for another worker pod: so a rollout goes forward on a full cluster, too."""
    canary: Canary | None = None
    """Of strategy Canary: steps and analysis. 5, 25 and 50 in a hundred, a minute each, unless given."""
    blue_green: BlueGreen | None = None
    """Of strategy BlueGreen: preview and promotion."""
    progress_deadline_seconds: Annotated[Int, Ge(10), Le(86400)] = 600
    """Seconds without progress after which the application is reported as Stalled, and rolled back if autoRollback."""
    auto_rollback: Bool = True
    """Go back to the revision that served last when a new one does not come up: its code cannot be imported, its
    replicas fail to start, its analysis fails, or progressDeadlineSeconds are over. It is tried again when the spec
    changes, or with `remora rollout retry`."""
    paused: Bool = False
    """Begin no rollout, and stop where one is: replicas of both revisions stay as they are, weights too."""
