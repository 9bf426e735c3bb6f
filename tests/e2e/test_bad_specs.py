"""Bad specs that no schema can refuse: some of each kind of `bad_specs`, which `make soak-bad-specs` tries all of."""

from __future__ import annotations

import pytest

from tests.e2e.bad_specs import FIRST, GOOD, LOAD, ROLLED_OUT, Row, begin, code, roll_out, shop
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
