"""The benchmark's arithmetic and its page."""

from __future__ import annotations

import importlib

import pytest

from benchmarks import processes, results, rows, table
from benchmarks.goals import Figure, Goal, Side
from benchmarks.machine import processor
from benchmarks.rows.balance import ideal_ms
from benchmarks.rows.idle import share
from benchmarks.rows.stream import is_whole
from benchmarks.samples import ratio, spread, turns
from benchmarks.table import Measured
from benchmarks.wrk import LoadFailed, parsed

BARE = Figure("noop", "no-op", "requests/s", (Goal("at least", 0.7, Side.BARE),))


def test_ratio_compares_within_a_round() -> None:
    # The machine was ten times slower in the second round: the two medians would say nothing of 2.0.
    assert ratio([200, 20, 220], [100, 10, 110]) == 2.0


def test_ratio_ignores_rounds_that_a_side_lacks_or_that_divide_by_nothing() -> None:
    assert ratio([200, 300], [100]) == 2.0
    assert ratio([200, 300], [0, 100]) == 3.0
    assert ratio([1], [0]) is None
    assert ratio([], []) is None


def test_spread_is_the_range_over_the_median() -> None:
    assert spread([90, 100, 120]) == pytest.approx(0.3)
    assert spread([5]) == 0
    assert spread([0, 0]) == 0


def test_every_round_begins_with_another_side_and_holds_all() -> None:
    assert list(turns("abc", 4)) == list("abcbcacababc")
    assert list(turns([], 2)) == []


@pytest.mark.parametrize(
    ("goal", "samples", "reached", "met"),
    [
        (Goal("at least", 0.7, Side.BARE), {Side.REMORA: [80], Side.BARE: [100]}, 0.8, True),
        (Goal("at least", 0.7, Side.BARE), {Side.REMORA: [60], Side.BARE: [100]}, 0.6, False),
        (Goal("at most", 0.25), {Side.REMORA: [0.2, 0.3, 0.24]}, 0.24, True),
        (Goal("at most", 0.25), {Side.REMORA: [0.26]}, 0.26, False),
        (Goal("at most", 15, Side.BARE, "plus"), {Side.REMORA: [100], Side.BARE: [90]}, 10, True),
        (Goal("at most", 15, Side.BARE, "plus"), {Side.REMORA: [110], Side.BARE: [90]}, 20, False),
        (Goal("at least", 3, Side.BEST), {Side.REMORA: [100]}, None, None),
        (Goal("at least", 3), {Side.BARE: [100]}, None, None),
    ],
    ids=["share", "share missed", "limit", "limit missed", "sum", "sum missed", "nobody beside us", "not we"],
)
def test_goals(goal: Goal, samples: dict[Side, list[float]], reached: float | None, met: bool | None) -> None:
    assert goal.reached(samples) == (None if reached is None else pytest.approx(reached))
    assert goal.is_met(samples) is met


def test_a_line_holds_every_side_the_ratios_and_the_verdict() -> None:
    samples = {Side.BARE: [1000.0, 1100.0], Side.BEST: [200.0, 220.0], Side.REMORA: [500.0, 550.0]}
    assert table.line(Measured(BARE, samples)) == (
        "| no-op, requests/s | 1,050 ±5 % | – | 210 ±5 % | 525 ±5 % | 0.50 / – / 2.50 "
        "| ≥ 70 % of bare: 50 % **falls short** |"
    )


def test_the_page_names_what_falls_short_and_why_a_side_is_missing() -> None:
    missed = Measured(BARE, {Side.BARE: [100], Side.REMORA: [50]}, {Side.DEFAULT: "it did not start"})
    text = table.page([missed], machine=["2 cores"], how="How.")
    assert "**Falls short of its goal:** no-op." in text
    assert "* no-op, Ray Serve, default: it did not start" in text
    assert "* 2 cores" in text


def test_the_page_is_silent_on_goals_that_are_met() -> None:
    assert "alls short" not in table.page([Measured(BARE, {Side.BARE: [100], Side.REMORA: [75]})], machine=[], how="")


def test_rows_are_kept_for_a_run_in_parts() -> None:
    lines = [Measured(BARE, {Side.BARE: [100.0], Side.REMORA: [75.0, 80.0]}, {Side.BEST: "no HAProxy"})]
    assert results.loaded(results.dumped({"noop": lines}), {"noop": [BARE]}) == {"noop": lines}
    assert results.loaded(results.dumped({"noop": lines}), {}) == {"noop": []}


def test_figures_of_wrk() -> None:
    found = parsed("Running 2s test\nFIGURES 1000 2.0 1.5 9.25 20.0 100 3\n")
    assert (found.answered_per_s, found.p50_ms, found.p99_ms, found.max_ms, found.errors) == (450, 1.5, 9.25, 20, 3)
    with pytest.raises(LoadFailed, match="no figures"):
        parsed("unable to connect")


def test_cpu_time_of_a_process_whose_name_has_parentheses() -> None:
    stat = "42 (ray::Idle) (x)) S 1 42 42 0 -1 4194304 9 0 0 0 150 50 0 0 20 0 9 0 1 2 3"
    assert processes.cpu_ticks(stat) == 200


def test_resident_memory() -> None:
    assert processes.rss_mb("Name:\tx\nVmRSS:\t   1000 kB\nThreads:\t1\n") == pytest.approx(1.024)
    assert processes.rss_mb("Name:\tkthreadd\n") == 0


def test_the_processor_is_named() -> None:
    assert processor("processor\t: 0\nmodel name\t: A Fast One\n") == "A Fast One"


def test_a_chunked_answer_is_whole_with_its_last_chunk() -> None:
    assert is_whole(b"1\r\nx\r\n0\r\n\r\n")
    assert not is_whole(b"1\r\nx\r\n0\r\n")


@pytest.mark.parametrize(
    ("connections", "ideal"), [(200, 200.0), (10, 10.0), (1, 10.0)], ids=["all wait", "all busy", "none waits"]
)
def test_the_ideal_wait_is_even(connections: int, ideal: float) -> None:
    assert ideal_ms(connections, 10, 10.0) == ideal


def test_cpu_share_of_a_core() -> None:
    assert share(1.0, 1.5, 20.0) == pytest.approx(2.5)


@pytest.mark.parametrize("name", [*rows.NAMES, *rows.BY_NAME])
def test_every_row_has_figures_with_keys_of_their_own(name: str) -> None:
    row = importlib.import_module(f"benchmarks.rows.{name}")
    keys = [figure.key for figure in row.FIGURES]
    assert keys
    assert len(set(keys)) == len(keys)
    assert callable(row.measure)
