"""Analysis: when a canary is given up, and when nothing can be concluded."""

from __future__ import annotations

from typing import Any

import pytest

from remora_api import wire
from remora_api.v1alpha1 import Analysis, Quantile
from remora_operator.analysis import Tally, complaint

BOUNDS = (0.01, 0.1, 1.0)


def said(
    revision: str, requests: int, errors: int = 0, slow: int = 0, application: str = "app"
) -> wire.RevisionFigures:
    buckets = (requests - slow, 0, slow, 0)
    return wire.RevisionFigures(
        application=application, revision=revision, requests=requests, errors=errors, buckets=buckets
    )


def judged(*figures: wire.RevisionFigures, proxies: int = 1, **analysis: Any) -> str:
    told = [wire.ProxyFigures(window_s=60, bounds_s=BOUNDS, revisions=figures)] * proxies
    return complaint(Analysis(**{"min_requests": 100, **analysis}), told, "app", "old", "new")


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        pytest.param((said("old", 1000), said("new", 1000)), "", id="alike"),
        pytest.param((said("old", 1000), said("new", 1000, 60)), "6.0 % of its 1000 answers", id="more errors"),
        pytest.param((said("old", 1000, 30), said("new", 1000, 60)), "", id="both fail"),
        pytest.param((said("old", 1000), said("new", 99, 99)), "", id="too few to tell"),
        pytest.param((said("new", 1000, 60),), "6.0 %", id="nothing to compare with"),
        pytest.param((said("old", 1000), said("new", 1000, 900, application="other")), "", id="of another"),
    ],
)
def test_errors(figures: tuple[wire.RevisionFigures, ...], words: str) -> None:
    found = judged(*figures)
    assert words in found
    assert bool(words) == bool(found)


def test_what_all_proxies_saw_is_added_up() -> None:
    few = (said("old", 60), said("new", 60, 60))
    assert not judged(*few)
    assert "120 answers" in judged(*few, proxies=2)


def test_latency_is_compared_only_when_asked_and_with_enough_on_both_sides() -> None:
    slow = (said("old", 1000), said("new", 1000, slow=100))
    assert not judged(*slow)
    assert "p95 latency" in judged(*slow, max_latency_percent=150)
    assert not judged(*slow, max_latency_percent=150, latency_quantile=Quantile.P50)
    assert not judged(said("old", 99), slow[1], max_latency_percent=150)


def test_a_quantile_lies_between_the_bounds_of_its_bucket() -> None:
    tally = Tally(100, 0, (50, 40, 10, 0), BOUNDS)
    assert tally.latency_s(0.25) == pytest.approx(0.005)
    assert tally.latency_s(0.5) == pytest.approx(0.01)
    assert 0.01 < tally.latency_s(0.9) <= 0.1
    assert tally.latency_s(1.0) == pytest.approx(1.0)
    assert Tally(10, 0, (0, 0, 0, 10), BOUNDS).latency_s(0.5) == 1.0
