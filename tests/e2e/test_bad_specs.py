"""Bad specs that no schema can refuse: some of each kind of `bad_specs`, which `make soak-bad-specs` tries all of."""

from __future__ import annotations

import time

import pytest

from tests.e2e.bad_specs import FIRST, GOOD, LOAD, ROLLED_OUT, Row, bad, begin, code, judge, roll_out, shop
from tests.e2e.stage import Stage, eventually

pytestmark = pytest.mark.cluster

SOME = (
    "a module that kills the process",
    "a health check that never passes",
    "more memory than a worker pod has",
    "an image that is not there",
)
SOME_FIRST = ("bad-image", "no-account", "no-such-command", "empty-code", "bad-volume")


def names(stage: Stage) -> set[str]:
    return {it["metadata"]["name"] for it in stage.list("pods", application="shop")}


def chosen(rows: list[Row], names: tuple[str, ...]) -> list[Row]:
    found = [row for row in rows if row.name in names]
    assert len(found) == len(names)
    return found


def test_what_cannot_be_rolled_out_is_taken_back_while_the_old_revision_serves(stage: Stage) -> None:
    stage.apply(shop())
    stage.wait_ready("shop")
    pods = names(stage)
    with stage.load("shop", *LOAD) as load:
        judged = list(roll_out(stage, chosen(ROLLED_OUT, SOME)))
        eventually(lambda: names(stage) == pods, 60, "only the pods that were there")
        stage.apply(shop() | {"spec": shop()["spec"] | code(GOOD.replace('"open"', '"open again"'))})
        stage.wait_ready("shop", within_s=60)
    assert [fault for it in judged for fault in it.faults] == []
    assert load.report["failures"] == []
    assert set(load.report["answers"]) == {"open", "open again"}, "nothing else has answered"


@pytest.mark.alone
def test_what_never_started_says_what_to_do(stage: Stage) -> None:
    assert [fault for it in begin(stage, chosen(FIRST, SOME_FIRST), at_once=5) for fault in it.faults] == []


@pytest.mark.alone
def test_what_never_started_is_mended_by_the_next_apply(stage: Stage) -> None:
    """Also of what the kubelet tries ever more slowly: nothing is left to be deleted by hand."""
    rows = chosen(FIRST, ("bad-image", "no-such-command", "no-code"))
    stage.apply(*(bad(row, row.name) for row in rows))
    assert [fault for row in rows for fault in judge(stage, row, row.name, within_s=90).faults] == []
    began = time.monotonic()
    stage.apply(*(shop(row.name) for row in rows))
    for row in rows:
        stage.wait_ready(row.name, within_s=120)
        assert stage.answer(row.name) == "open"
    print(f"\nmended within {time.monotonic() - began:.0f} s")
