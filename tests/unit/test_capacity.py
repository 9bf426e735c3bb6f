"""Capacity: a share of the replicas, by deployment."""

from __future__ import annotations

import pytest

from remora.controller import counts
from remora.controller.state import BuiltDeployment, Scaled
from remora_api import capacity
from remora_api.autoscaling import Autoscaling
from remora_api.wire import DeploymentOverride, Target


@pytest.mark.parametrize(
    ("count", "percent", "right"),
    [(3, 50, 2), (5, 50, 3), (1, 50, 1), (1, 0.1, 1), (0, 50, 0), (4, 0, 0), (7, 100, 7), (7, None, 7), (10, 33.3, 3)],
)
def test_a_share_rounds_half_up_and_is_at_least_one(count: int, percent: float | None, right: int) -> None:
    assert capacity.share(count, percent) == right


def test_bounds_are_shares_and_it_begins_with_what_they_let_through() -> None:
    whole = Autoscaling(min_replicas=2, max_replicas=9, initial_replicas=6, target_ongoing_requests=3)
    half = capacity.bounds(whole, 50)
    assert (half.min_replicas, half.max_replicas, half.first, half.target_ongoing_requests) == (3, 5, 5, 3)
    assert capacity.bounds(whole, None) is whole
    assert capacity.bounds(whole.but(initial_replicas=None), 50).min_replicas == 1


def counted(
    percent: float | None, built: BuiltDeployment, scaled: Scaled | None = None, replicas: int | None = None
) -> counts.Count:
    target = Target(application="a", generation=1, revision="r", import_path="m:a", capacity=percent)
    return counts.decide(target, built, DeploymentOverride(name="D", replicas=replicas), scaled, ingress=False)


def built(autoscaling: Autoscaling | None = None) -> BuiltDeployment:
    return BuiltDeployment(name="D", definition="d", replicas=5, autoscaling=autoscaling)


def test_numbers_of_code_and_file_are_shared() -> None:
    assert counted(50, built()).count == 3
    assert counted(50, built(), replicas=7).count == 4
    assert counted(None, built()).count == 5
    assert counted(0, built()).count == 0
    assert "50 % of the capacity" in counted(50, built()).reason


def test_autoscaling_has_its_share_of_the_bounds_and_none_at_zero() -> None:
    scaled = Autoscaling(min_replicas=2, max_replicas=8)
    half = counted(50, built(scaled))
    assert half.autoscaling is not None
    assert (half.count, half.autoscaling.min_replicas, half.autoscaling.max_replicas) == (1, 1, 4)
    assert counted(50, built(scaled), Scaled(4, "busy")).count == 4
    none = counted(0, built(scaled))
    assert (none.count, none.autoscaling) == (0, None)
