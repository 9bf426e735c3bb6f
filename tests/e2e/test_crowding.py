"""A replica whose only place is taken by others that came first, and have another."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.apps import application, deployment
from tests.e2e.stage import Stage, eventually

pytestmark = pytest.mark.cluster

CODE = """import os

from ray import serve


@serve.deployment
class Large:
    def __call__(self):
        return "large"


@serve.deployment
class Small:
    def __init__(self, large):
        self.large = large

    async def __call__(self, request):
        if request.url.path.endswith("/large"):
            return f"{await self.large.remote()}"
        return f"{os.environ['POD_NAME']}/{os.getpid()}"


app = Small.bind(Large.bind())
"""


def crowded(large: int) -> dict[str, Any]:
    """Return two small replicas and so many large ones, on a pod for each kind; a small one fits on either."""
    return application(
        "crowded",
        "crowded:app",
        code={"inline": {"crowded.py": CODE}},
        deployments=[
            deployment("Small", replicas=2) | {"resources": {"cpu": "200m", "memory": "200Mi"}},
            deployment("Large", replicas=large) | {"resources": {"cpu": "200m", "memory": "1500Mi"}},
        ],
        workers=[
            {"name": "small", "minReplicas": 1, "maxReplicas": 1, "resources": {"cpu": "500m", "memory": "1200Mi"}},
            {"name": "large", "minReplicas": 1, "maxReplicas": 1, "resources": {"cpu": "300m", "memory": "2300Mi"}},
        ],
    )


def test_what_is_in_the_way_of_a_larger_one_moves_without_a_failed_request(stage: Stage) -> None:
    stage.apply(crowded(0))
    stage.wait_ready("crowded")

    def groups() -> set[str]:
        """Return the worker groups that have answered for Small."""
        return {it.split("-")[1] for it in stage.answers("crowded", 12)}

    eventually(lambda: groups() == {"small", "large"}, 90, "a small replica on each of the pods")
    with stage.load("crowded", "--rate", "100", "--connections", "8", "--for", "180") as load:
        stage.apply(crowded(1))
        eventually(lambda: stage.ask("crowded", "/large")[1] == "large", 90, "the large one's answer")
        stage.wait_ready("crowded")
    assert load.report["failures"] == []
    assert groups() == {"small"}, "the large one's pod has no room for another"
