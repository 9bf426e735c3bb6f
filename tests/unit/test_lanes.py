"""Which tests of the cluster run beside which."""

from __future__ import annotations

import re
from contextlib import nullcontext

import pytest

from tests import run

SHARED = "--session=abc"
STOPS = re.compile(r"\bstopped\(|\babsent_operator\b|--replicas=0|\binstall\(|\btell\(")


class Lane:
    """A lane that notes when it is begun, and when it is known to have ended."""

    said: list[str]
    failing = ""

    def __init__(self, name: str, *argv: str) -> None:
        self.name, self.argv, self.last = name, argv, "1 passed"
        self.failed = [f"FAILED {name}.py::test_it"]
        self.said.append(f"{name} begins")

    def status(self) -> int:
        self.said.append(f"{self.name} ended")
        return int(self.name == self.failing)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(run, "Lane", type("Lane", (Lane,), {"said": found}))
    monkeypatch.setattr(run, "_claimed", nullcontext)
    return found


def test_no_other_test_uses_the_cluster_before_those_that_need_it_alone_have_ended(said: list[str]) -> None:
    assert run.lanes("abc")
    assert said[0] == "alone begins"
    for lane in ("cluster", "beside"):
        assert said.index(f"{lane} begins") > said.index("alone ended")
    assert said.index("beside begins") > said.index("others ended"), "two lanes at a time"


@pytest.mark.parametrize("lane", ["alone", "others", "cluster", "beside"])
def test_what_fails_in_any_lane_is_a_failure_and_the_others_run_on(
    said: list[str], lane: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run.Lane, "failing", lane)
    assert not run.lanes("abc")
    assert {it for it in said if it.endswith("begins")} == {
        f"{it} begins" for it in ("alone", "others", "cluster", "beside")
    }


def test_who_stops_the_operator_or_replaces_it_is_marked() -> None:
    files = {f"tests/e2e/{it.name}": it.read_text() for it in sorted((run.ROOT / "tests/e2e").glob("test_*.py"))}
    unmarked = [name for name, text in files.items() if STOPS.search(text) and "pytest.mark.alone" not in text]
    assert unmarked == []
    assert [name for name in run.BESIDE if "pytest.mark.alone" in files[name]] == []
