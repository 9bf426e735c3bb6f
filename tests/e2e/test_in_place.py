"""What changes without pods or replicas of its own: it holds within two seconds, under load, and nothing restarts."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.e2e.apps import application, deployment
from tests.e2e.stage import Stage, eventually

pytestmark = pytest.mark.cluster

WITHIN_S = 2.0
ASKING_S = 1.0
"""What looking takes: a program is started for each look through the Service."""
CODE = """import asyncio
import json
import os
import time

from ray import serve


@serve.deployment
class Told:
    def reconfigure(self, config):
        self.word, self.at = config["word"], time.time()

    async def __call__(self, request):
        await asyncio.sleep(float(request.query_params.get("seconds", 0)))
        return json.dumps({"process": f"{os.environ['POD_NAME']}/{os.getpid()}", "word": self.word, "at": self.at})


app = Told.bind()
"""


def told(word: str, *, proxy: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    """Return an application of two replicas that answer what they were told, and when."""
    given: dict[str, Any] = {"maxOngoingRequests": 100, "userConfig": {"word": word}}
    if "autoscaling" not in options:
        given["replicas"] = 2
    return application(
        "told",
        "told:app",
        code={"inline": {"told.py": CODE}},
        deployments=[deployment("Told", **given | options)],
        proxy={"replicas": 1, "resources": {"cpu": "100m", "memory": "256Mi"}, **(proxy or {})},
    )


def answers(stage: Stage) -> list[dict[str, Any]]:
    """Return what some requests are answered."""
    return [json.loads(it) for it in stage.answers("told", 16)]


def changed(stage: Stage, resource: dict[str, Any], holds: Callable[[], bool], what: str) -> float:
    """Apply a change, and return the seconds from then until it held."""
    stage.apply(resource)
    applied = datetime.now(UTC)
    eventually(holds, 30, what)
    return (datetime.now(UTC) - applied).total_seconds()


def of(stage: Stage) -> dict[str, Any]:
    """Return what the status says of the deployment."""
    (found,) = stage.get("sapp", "told")["status"]["deployments"]
    return dict(found)


def pods(stage: Stage) -> set[str]:
    return {it["metadata"]["uid"] for it in stage.list("pods", application="told")}


def test_what_changes_in_place_holds_within_two_seconds_and_restarts_nothing(stage: Stage) -> None:
    stage.apply(told("one"))
    stage.wait_ready("told")
    processes = eventually(lambda: _two_on_two_pods(stage), 90, "two replicas on two pods")
    before = pods(stage)
    revisions = numbers(stage)
    kept = records(stage)
    seconds: dict[str, float] = {}
    with stage.load("told", "--rate", "100", "--connections", "8", "--for", "240") as load:
        # The replicas say themselves when they were told: both clocks are this machine's.
        stage.apply(told("two"))
        applied = datetime.now(UTC).timestamp()
        eventually(lambda: {it["word"] for it in answers(stage)} == {"two"}, 30, "the new userConfig")
        seconds["userConfig"] = max(it["at"] for it in answers(stage)) - applied

        limits = {"minReplicas": 2, "maxReplicas": 2}
        seconds["autoscaling"] = changed(
            stage, told("two", autoscaling=limits), lambda: "autoscaling" in of(stage)["reason"], "autoscaling"
        )
        seconds["replicas"] = changed(
            stage, told("two", replicas=3), lambda: of(stage)["desired"] == 3, "three replicas wanted"
        )
        eventually(lambda: of(stage)["ready"] == 3, 60, "three replicas")
        assert processes <= {it["process"] for it in answers(stage)}
        changed(stage, told("two"), lambda: of(stage)["desired"] == of(stage)["ready"] == 2, "two replicas again")
        stage.wait_ready("told")
        processes = {it["process"] for it in answers(stage)}

        cut = told("two", proxy={"requestTimeoutSeconds": 3})
        seconds["requestTimeoutSeconds"] = changed(
            stage, cut, lambda: stage.ask("told", "/?seconds=5")[0].status == 408, "an answer that is cut off"
        )
        assert stage.ask("told", "/?seconds=1")[0].status == 200
    print(json.dumps({what: round(it, 2) for what, it in seconds.items()}))
    assert load.report["failures"] == []
    assert seconds["userConfig"] < WITHIN_S
    assert seconds["autoscaling"] < WITHIN_S
    assert seconds["replicas"] < WITHIN_S
    # The request that shows it takes its three seconds, and one before may have been there when it changed.
    assert seconds["requestTimeoutSeconds"] < WITHIN_S + 5 + 3 + 2 * ASKING_S
    assert {it["process"] for it in answers(stage)} == processes
    assert pods(stage) == before
    assert {it["word"] for it in answers(stage)} == {"two"}
    assert numbers(stage) == revisions
    assert records(stage) == kept


def records(stage: Stage) -> set[str]:
    """Return the names of the revisions' records; Kubernetes keeps one of its own of the head's StatefulSet."""
    found = [it["metadata"] for it in stage.list("controllerrevisions", application="told")]
    return {it["name"] for it in found if it["ownerReferences"][0]["kind"] == "ServeApplication"}


def numbers(stage: Stage) -> list[int]:
    """Return the numbers of the revisions that the status tells of."""
    return [it["number"] for it in stage.get("sapp", "told")["status"]["revisions"]]


def _two_on_two_pods(stage: Stage) -> set[str]:
    processes = {it["process"] for it in answers(stage)}
    return processes if len(processes) == len({it.partition("/")[0] for it in processes}) == 2 else set()


def test_no_more_revisions_are_kept_than_the_limit_and_each_can_be_gone_back_to(stage: Stage) -> None:
    limit = {"revisionHistoryLimit": 2}
    for word in ("a", "b", "c", "d"):
        text = CODE.replace('"word": self.word', f'"word": "{word}"')
        resource = told("x")
        resource["spec"] |= limit | {"code": {"inline": {"told.py": text}}}
        stage.apply(resource)
        stage.wait_ready("told")
    # The oldest goes in a turn of its own.
    eventually(lambda: len(records(stage)) == 3, 30, "the one that serves, and two before it")
    assert len(stage.get("sapp", "told")["status"]["revisions"]) == 3
    stage.remora("rollout", "undo", "told")
    stage.wait_ready("told")
    assert {it["word"] for it in answers(stage)} == {"c"}
