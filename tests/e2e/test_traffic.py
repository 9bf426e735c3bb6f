"""How requests are shared between two revisions, counted on the cluster: weights, headers, cookies, sticky, mirror."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.apps import application, deployment
from tests.e2e.stage import Stage, eventually

pytestmark = pytest.mark.cluster

RATE = 300
SECONDS = {1: 30, 5: 15, 50: 10}
"""By weight: of 9,000 requests 1 % are 90, and 54 or 126 are too far from that."""
CHI_SQUARE = 15.14
"""With one degree of freedom: one count in 10,000 is further off by chance."""
CODE = """from ray import serve

@serve.deployment
class Speaker:
    def __init__(self):
        self.seen = 0

    def __call__(self, request):
        if request.url.path == "/seen":
            return str(self.seen)
        self.seen += 1
        return WORD

app = Speaker.bind()
"""
RULES = [
    {"header": "X-Beta", "value": "yes"},
    {"cookie": "beta"},
    {"header": "X-Old", "to": "Current"},
]
NEW = {"x-beta": "yes"}


def speaker(word: str, **traffic: Any) -> dict[str, Any]:
    return application(
        "speaker",
        "speaker:app",
        code={"inline": {"speaker.py": CODE.replace("WORD", repr(word))}},
        deployments=[deployment("Speaker", maxOngoingRequests=100)],
        rollout={"strategy": "Canary", "canary": {"steps": [{"weight": it} for it in (1, 5, 50)]}},
        traffic={"rules": RULES, **traffic},
    )


def until_shared(stage: Stage, weight: int) -> None:
    eventually(lambda: weights(stage) == {weight, 100 - weight}, 120, f"a canary with {weight}")


def test_requests_are_shared_as_the_resource_says(stage: Stage) -> None:
    stage.apply(speaker("one"))
    stage.wait_ready("speaker")
    stage.apply(speaker("two"))

    for weight in (1, 5, 50):
        until_shared(stage, weight)
        shares(stage, weight)
        # Who chooses is not counted among the weights.
        assert {text(stage, NEW), text(stage, {"cookie": "a=1; beta=yes"})} == {"two"}
        assert {text(stage, {"x-old": "1"}) for _ in range(4)} == {"one"}
        if weight != 50:
            stage.remora("rollout", "promote", "speaker")

    stage.apply(speaker("two", sticky={"cookie": "client"}))
    eventually(lambda: "client=" in cookie(stage), 30, "a cookie")
    clients = [cookie(stage).partition(";")[0] for _ in range(8)]
    met = [{text(stage, {"cookie": client}) for _ in range(3)} for client in clients]
    assert all(len(it) == 1 for it in met), "a client has met both"
    other = {"one", "two"} - met[0]
    eventually(lambda: {text(stage, {"cookie": cookie(stage).partition(";")[0]})} == other, 60, "a client of the other")

    stage.apply(speaker("two", mirror={"percent": 100}))
    # The proxies have the mirror once a request that answers "one" was seen by "two" as well.
    eventually(lambda: _grows(stage, {"x-old": "1"}), 30, "a mirror")
    before = settled(stage)
    with stage.load("speaker", "--rate", "100", "--connections", "4", "--for", "4") as load:
        eventually(lambda: load.process.poll() is not None, 60, "a counted load")
    assert load.report["failures"] == []
    # Each request once, whoever has answered: those of "one" as a copy, whose answer nobody gets.
    eventually(lambda: seen(stage) - before == load.report["requests"], 20, "every request seen by the new revision")
    assert {text(stage, {"x-old": "1"}) for _ in range(4)} == {"one"}


def shares(stage: Stage, weight: int) -> None:
    """Send load, and hold its answers to the weights by the chi-square of their counts."""
    seconds = SECONDS[weight]
    with stage.load("speaker", "--rate", str(RATE), "--connections", "6", "--for", str(seconds)) as load:
        eventually(lambda: load.process.poll() is not None, seconds + 60, "a measured share")
    answers = load.report["answers"]
    total = sum(answers.values())
    expected = {"one": total * (100 - weight) / 100, "two": total * weight / 100}
    chi_square = sum((answers.get(word, 0) - many) ** 2 / many for word, many in expected.items())
    print(json.dumps({"weight": weight, "answers": answers, "chi_square": round(chi_square, 2)}))
    assert load.report["failures"] == []
    assert total > RATE * seconds / 2, "too few to tell"
    assert chi_square < CHI_SQUARE


def weights(stage: Stage) -> set[int]:
    """Return what the revisions get, once it is said of the spec that stands."""
    resource = stage.get("sapp", "speaker")
    status = resource.get("status", {})
    current = status.get("observedGeneration") == resource["metadata"]["generation"]
    return {it.get("weight", 0) for it in status.get("revisions", []) if it.get("weight")} if current else set()


def text(stage: Stage, headers: dict[str, str]) -> str:
    return stage.ask("speaker", headers=headers)[1]


def cookie(stage: Stage) -> str:
    return str(stage.ask("speaker")[0].headers.get("set-cookie", ""))


def seen(stage: Stage) -> int:
    """Return the requests that the new revision has been given."""
    return int(stage.ask("speaker", "/seen", headers=NEW)[1])


def settled(stage: Stage) -> int:
    """Return the requests that the new revision has been given, once no copy is on its way any more."""
    return eventually(lambda: many if seen(stage) == (many := seen(stage)) else 0, 20, "no more copies")


def _grows(stage: Stage, headers: dict[str, str]) -> bool:
    before = seen(stage)
    assert text(stage, headers) == "one"
    return seen(stage) > before
