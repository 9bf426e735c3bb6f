"""`remora rollout`: what it asks of kubectl, and what it refuses."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from remora.cli.rollout import Refused, _parser, main, perform
from remora.cli.rollout_watch import TimedOut, documents, ending, watch


class Kubectl:
    """Answers `get` with a resource and notes the rest."""

    def __init__(self, **status: Any) -> None:
        self.resource = {"metadata": {"name": "hello"}, "spec": {}, "status": status}
        self.asked: list[Sequence[str]] = []

    def __call__(self, words: Sequence[str]) -> str:
        if words[0] == "get":
            return json.dumps(self.resource)
        self.asked.append(words)
        return ""


def run(kubectl: Kubectl, *words: str) -> str:
    return perform(_parser().parse_args(list(words)), kubectl)


def revision(name: str, number: int, phase: str = "Former") -> dict[str, Any]:
    return {"name": name, "number": number, "phase": phase, "message": "BuildFailed: x" if phase == "Failed" else ""}


CANARY = {"revision": "hello-b", "number": 2, "step": 1, "steps": 3, "weight": 5, "message": "waits"}
TWO = [revision("hello-b", 2, "Updated"), revision("hello-a", 1, "Current")]


def test_promote_names_the_revision_and_the_next_step() -> None:
    kubectl = Kubectl(rollout=CANARY, revisions=TWO)
    run(kubectl, "promote", "hello")
    assert kubectl.asked[0][3] == "remora.dev/rollout=promote hello-b/2 2"
    run(kubectl, "promote", "hello", "--full")
    assert kubectl.asked[1][3] == "remora.dev/rollout=promote hello-b/2"
    run(kubectl, "abort", "hello")
    assert kubectl.asked[2][3] == "remora.dev/rollout=abort hello-b/2"


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(Refused, match="no rollout is under way"):
        run(Kubectl(revisions=TWO), "promote", "hello")
    with pytest.raises(Refused, match="not ready yet"):
        run(Kubectl(rollout=CANARY | {"step": 0}), "promote", "hello")
    with pytest.raises(Refused, match="has not failed"):
        run(Kubectl(updatedRevision="hello-b", revisions=TWO), "retry", "hello")
    with pytest.raises(Refused, match="no earlier revision"):
        run(Kubectl(currentRevision="hello-a", updatedRevision="hello-a", revisions=TWO[1:]), "undo", "hello")
    with pytest.raises(Refused, match="no revision 7"):
        run(Kubectl(revisions=TWO), "undo", "hello", "--to-revision", "7")


def test_undo_goes_to_what_serves_while_a_rollout_is_under_way_and_else_to_the_one_before() -> None:
    kubectl = Kubectl(currentRevision="hello-a", updatedRevision="hello-b", revisions=TWO)
    run(kubectl, "undo", "hello")
    assert json.loads(kubectl.asked[0][-1]) == {"spec": {"revision": "hello-a"}}
    after = [revision("hello-c", 3, "Current"), revision("hello-b", 2, "Failed"), revision("hello-a", 1)]
    kubectl = Kubectl(currentRevision="hello-c", updatedRevision="hello-c", revisions=after)
    run(kubectl, "undo", "hello")
    assert json.loads(kubectl.asked[0][-1]) == {"spec": {"revision": "hello-a"}}
    run(kubectl, "undo", "hello", "--to-revision", "2")
    assert json.loads(kubectl.asked[1][-1]) == {"spec": {"revision": "hello-b"}}
    run(kubectl, "unpin", "hello")
    assert json.loads(kubectl.asked[2][-1]) == {"spec": {"revision": None}}


def test_retry_addresses_the_try_that_failed() -> None:
    kubectl = Kubectl(updatedRevision="hello-b", revisions=[revision("hello-b", 2, "Failed"), TWO[1]])
    run(kubectl, "retry", "hello")
    assert kubectl.asked[0][3] == "remora.dev/rollout=retry hello-b/2"


def test_pause_and_status_and_history() -> None:
    kubectl = Kubectl(rollout=CANARY, currentRevision="hello-a", revisions=TWO)
    run(kubectl, "pause", "hello")
    assert json.loads(kubectl.asked[0][-1]) == {"spec": {"rollout": {"paused": True}}}
    assert "step 1 of 3, 5 % of the requests" in run(kubectl, "status", "hello")
    assert run(kubectl, "history", "hello").splitlines()[1].split()[:3] == ["2", "hello-b", "Updated"]


def watched(reason: str, ready: str = "False", generation: int = 2, **status: Any) -> dict[str, Any]:
    """Return a resource of generation 2 with this Ready condition."""
    said = {"type": "Ready", "status": ready, "reason": reason, "message": reason, "observedGeneration": generation}
    stalled = status.pop("stalled", "")
    conditions = [said, *([{"type": "Stalled", "status": "True", "reason": stalled}] if stalled else [])]
    status = {"observedGeneration": generation, "conditions": conditions, **status}
    return {"metadata": {"name": "hello", "generation": 2}, "spec": {}, "status": status}


@pytest.mark.parametrize(
    ("resource", "end"),
    [
        (watched("Serving", "True"), True),
        (watched("Serving", "True", generation=1), None),
        ({"metadata": {"name": "hello", "generation": 1}, "spec": {}}, None),
        (watched("RollingOut"), None),
        (watched("BuildFailed", stalled="BuildFailed"), False),
        (watched("RolledBack", stalled="RolledBack"), False),
        (watched("Paused"), True),
        (watched("Promoting", rollout=CANARY), True),
        (watched("Promoting", rollout=CANARY | {"nextStepTime": "2026-11-21T00:00:00Z"}), None),
        (watched("Promoting", rollout=CANARY | {"step": 0}), None),
    ],
)
def test_a_watch_ends_when_it_is_served_or_waits_for_somebody_or_failed(
    resource: dict[str, Any], end: bool | None
) -> None:
    assert ending(resource) is end


FAILED = watched("RolledBack", stalled="RolledBack", revisions=[revision("hello-b", 2, "Failed")])


@pytest.mark.parametrize(
    ("asked", "resource", "end"),
    [
        ("promote hello-b/2 2", watched("Promoting", rollout=CANARY), None),
        ("promote hello-b/2", watched("Promoting", rollout=CANARY), None),
        ("abort hello-b/2", watched("Promoting", rollout=CANARY), None),
        ("promote hello-b/2 2", watched("Promoting", rollout=CANARY | {"step": 2}), True),
        ("promote hello-b/2 2", watched("Serving", "True"), True),
        ("promote hello-c/1 2", watched("Promoting", rollout=CANARY), True),
        ("promote hello-b/1", watched("Promoting", rollout=CANARY), True),
        ("promote hello-b/2 2", watched("Paused", rollout=CANARY), True),
        ("retry hello-b/2", FAILED, None),
        ("retry hello-b/1", FAILED, False),
    ],
)
def test_a_watch_goes_on_while_what_somebody_asked_for_is_not_done(
    asked: str, resource: dict[str, Any], end: bool | None
) -> None:
    resource = resource | {"metadata": resource["metadata"] | {"annotations": {"remora.dev/rollout": asked}}}
    assert ending(resource) is end


def test_a_watch_tells_what_changes_and_goes_on_when_the_server_ends_it() -> None:
    told: list[str] = []
    rounds = iter([[watched("RollingOut"), watched("RollingOut")], [], [watched("Serving", "True")]])
    assert watch(lambda _: next(rounds), told.append, timeout_s=9, clock=lambda: 0.0)
    assert [it.splitlines()[-1] for it in told] == ["RollingOut: RollingOut", "Serving: Serving"]


def test_a_watch_ends_with_what_it_waits_for() -> None:
    times = iter([0.0, 1.0, 10.0])
    with pytest.raises(TimedOut, match=r"within 9 s.*RollingOut"):
        watch(lambda _: [watched("RollingOut")], lambda _: None, timeout_s=9, clock=lambda: next(times))


def test_objects_that_kubectl_prints_one_behind_the_other() -> None:
    printed = "".join(f"{json.dumps(it, indent=4)}\n" for it in (watched("RollingOut"), CANARY))
    assert list(documents(printed.splitlines(keepends=True))) == [watched("RollingOut"), CANARY]


KUBECTL = """#!/bin/sh
# As kubectl 1.34 does (pkg/cmd/get, watch): what changes behind the get is told of a list, and not of a named object.
case "$*" in
  *"get serveapplications --field-selector=metadata.name=hello "*--watch*) cat rolling.json serving.json ;;
  *"get serveapplication hello "*--watch*) cat rolling.json; sleep 60 ;;
  *"get serveapplication hello "*) echo serveapplication.remora.dev/hello ;;
  *) echo 'Error from server (NotFound): serveapplications.remora.dev "other" not found' >&2; exit 1 ;;
esac
"""


@pytest.fixture
def kubectl_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, resource in (("rolling", watched("RollingOut")), ("serving", watched("Serving", "True"))):
        (tmp_path / f"{name}.json").write_text(json.dumps(resource, indent=4) + "\n")
    (tmp_path / "kubectl").write_text(KUBECTL)
    (tmp_path / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)


def test_what_changes_while_a_watch_begins_is_told(kubectl_on_path: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "hello", "--watch", "--timeout", "5"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Serving: Serving"


def test_a_watch_of_what_is_not_there_ends_at_once(kubectl_on_path: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "other", "--watch"]) == 1
    assert "not found" in capsys.readouterr().err


def test_only_status_is_watched(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["undo", "hello", "--watch"]) == 1
    assert "remora rollout status hello --watch" in capsys.readouterr().err
