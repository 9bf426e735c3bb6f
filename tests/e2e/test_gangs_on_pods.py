"""Gangs in worker pods: they come together, are restarted together, and are scaled by whole ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.apps import application
from tests.e2e.stage import Stage, eventually

pytestmark = pytest.mark.cluster

CODE = """import os
import signal

from ray import serve
from ray.serve.config import GangSchedulingConfig


@serve.deployment(
    num_replicas=4, gang_scheduling_config=GangSchedulingConfig(gang_size=2), ray_actor_options={"num_cpus": 0.1}
)
class Member:
    def __call__(self, request):
        if request.url.path == "/die":
            os.kill(os.getpid(), signal.SIGKILL)
        context = serve.get_replica_context()
        gang = context.gang_context
        return {"own": context.replica_id.unique_id, "gang": gang.gang_id, "members": gang.member_replica_ids}


app = Member.bind()
"""
ASKED = 40
"""Requests until each of a few replicas has most probably answered."""


def gangs_of(number: int | None = None) -> dict[str, Any]:
    """Return pods that hold a gang each, of four replicas unless the resource says another number."""
    worker = {"name": "default", "minReplicas": 1, "maxReplicas": 4, "resources": {"cpu": "200m", "memory": "1Gi"}}
    scaled = {} if number is None else {"deployments": [{"name": "Member", "replicas": number}]}
    return application("gangs", "gangs:app", code={"inline": {"gangs.py": CODE}}, workers=[worker], **scaled)


def found(stage: Stage) -> dict[str, set[str]]:
    """Return the replicas that answer, by gang; each says the same of its gang's members."""
    made: dict[str, set[str]] = {}
    for _ in range(ASKED):
        head, text = stage.ask("gangs")
        if head.status == 200:
            said = json.loads(text)
            made.setdefault(said["gang"], set()).add(said["own"])
            assert said["own"] in said["members"]
    return made


def are_whole(made: dict[str, set[str]], number: int) -> bool:
    return len(made) == number and all(len(members) == 2 for members in made.values())


def test_gangs_come_go_and_are_restarted_as_wholes(stage: Stage) -> None:
    stage.apply(gangs_of())
    stage.wait_ready("gangs")
    first = eventually(lambda: are_whole(it := found(stage), 2) and it, 60, "two gangs of two")
    (status,) = stage.get("sapp", "gangs")["status"]["deployments"]
    assert (status["desired"], status["ready"]) == (4, 4)

    # One of a gang dies: the other one goes with it, and another gang comes; the gang beside serves on.
    assert stage.ask("gangs", "/die")[0].status >= 500
    second = eventually(lambda: are_whole(it := found(stage), 2) and it != first and it, 120, "another gang")
    (kept,) = first.keys() & second.keys()
    assert first[kept] == second[kept]
    (gone,), (new,) = first.keys() - second.keys(), second.keys() - first.keys()
    assert not first[gone] & second[new]

    # Five replicas are three gangs, for which a pod comes; the two that were there are the same.
    stage.apply(gangs_of(5))
    stage.wait_ready("gangs")
    third = eventually(lambda: are_whole(it := found(stage), 3) and it, 60, "three gangs of two")
    assert {gang: third[gang] for gang in second} == second
    stage.apply(gangs_of(2))
    stage.wait_ready("gangs")
    eventually(lambda: are_whole(found(stage), 1), 120, "one gang")
