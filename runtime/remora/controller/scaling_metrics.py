"""What is counted of autoscaling, as lines for Prometheus. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from remora.controller import autoscaler
from remora.controller.loads import Name
from remora_api.autoscaling import Autoscaling


@dataclass(slots=True)
class Figures:
    """One autoscaled deployment."""

    limits: Autoscaling
    state: autoscaler.State = field(default_factory=autoscaler.State)
    count: int = 0
    least: int = 0
    """minReplicas, or what a schedule asks for now."""
    ups: int = 0
    downs: int = 0
    up_at: float | None = None
    down_at: float | None = None


def _load(figures: Figures) -> float:
    return figures.state.samples[-1].load if figures.state.samples else math.nan


_GAUGES: Final[tuple[tuple[str, str, Callable[[Figures], float]], ...]] = (
    ("desired_replicas", "Replicas that autoscaling wants.", lambda it: it.count),
    ("min_replicas", "Least replicas now: minReplicas, or a schedule's.", lambda it: it.least),
    ("max_replicas", "Most replicas.", lambda it: it.limits.max_replicas),
    ("requests", "Requests that waited or were worked on at the last look.", _load),
)


def lines(figures: Mapping[Name, Figures], failures: Mapping[Name, int]) -> Iterator[str]:
    """Yield the lines; `failures` counts, by application and deployment, when policies said nothing."""
    for name, text, value in _GAUGES:
        yield f"# HELP remora_autoscaling_{name} {text}"
        yield f"# TYPE remora_autoscaling_{name} gauge"
        for who, it in sorted(figures.items()):
            yield f"remora_autoscaling_{name}{{{_labels(who)}}} {value(it)}"
    yield "# HELP remora_autoscaling_decisions_total Changes of the number of replicas."
    yield "# TYPE remora_autoscaling_decisions_total counter"
    for who, it in sorted(figures.items()):
        for direction, count in (("up", it.ups), ("down", it.downs)):
            yield f'remora_autoscaling_decisions_total{{{_labels(who)},direction="{direction}"}} {count}'
    yield "# HELP remora_autoscaling_policy_failures_total Times that a policy raised, or did not answer in time."
    yield "# TYPE remora_autoscaling_policy_failures_total counter"
    for who, count in sorted(failures.items()):
        yield f"remora_autoscaling_policy_failures_total{{{_labels(who)}}} {count}"


def _labels(who: Name) -> str:
    application, deployment = who
    return f'application="{application}",deployment="{deployment}"'
