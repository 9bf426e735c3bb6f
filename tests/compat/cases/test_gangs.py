"""Replicas in gangs: placed together, and restarted together."""

import time

import pytest
from ray import serve
from ray.serve.config import GangPlacementStrategy, GangRuntimeFailurePolicy, GangSchedulingConfig
from ray.serve.gang import GangContext


class Member:
    def __init__(self, version=1):
        self.version = version
        gang = serve.get_replica_context().gang_context
        self.began_as = (gang.gang_id, gang.rank) if gang else None
        self.is_well = True

    def __call__(self):
        context = serve.get_replica_context()
        gang = context.gang_context
        assert isinstance(gang, GangContext)
        return {
            "version": self.version,
            "own": context.replica_id.unique_id,
            "gang": gang.gang_id,
            "rank": gang.rank,
            "world_size": gang.world_size,
            "members": gang.member_replica_ids,
            "began_as": list(self.began_as),
        }

    def fall_ill(self):
        self.is_well = False
        return serve.get_replica_context().gang_context.gang_id

    def check_health(self):
        if not self.is_well:
            raise RuntimeError("ill")


def member(**options):
    options = {"gang_scheduling_config": GangSchedulingConfig(gang_size=2), "num_replicas": 4, **options}
    return serve.deployment(**options)(Member)


def said(handle, replicas, limit_s=60):
    """What the replicas say, by their ids, once so many of them have answered in one go."""
    until = time.monotonic() + limit_s
    last = None
    while True:
        found = {}
        for _ in range(60):
            try:
                answer = handle.remote().result(timeout_s=5)
            except Exception as error:
                last = error
                continue
            found[answer["own"]] = answer
            if len(found) == replicas:
                return found
        assert time.monotonic() < until, (found, last)


def gangs(found):
    """The replicas of each gang, by rank."""
    made = {}
    for answer in found.values():
        made.setdefault(answer["gang"], {})[answer["rank"]] = answer["own"]
    return {gang: [members[rank] for rank in sorted(members)] for gang, members in made.items()}


def test_replicas_know_their_gang(run):
    found = said(run(member().bind(), name="gangs", route_prefix="/gangs"), 4)
    made = gangs(found)
    assert sorted(len(members) for members in made.values()) == [2, 2]
    for answer in found.values():
        assert answer["world_size"] == 2
        assert answer["members"] == made[answer["gang"]]
        assert answer["members"][answer["rank"]] == answer["own"]
        assert answer["began_as"] == [answer["gang"], answer["rank"]]


def test_a_gang_is_restarted_when_one_of_it_fails_and_the_other_is_left_alone(run):
    handle = run(member(health_check_period_s=0.5).bind(), name="gangs", route_prefix="/gangs")
    before = gangs(said(handle, 4))
    ill = handle.fall_ill.remote().result()
    until = time.monotonic() + 60
    while ill in (now := gangs(said(handle, 4))):
        assert time.monotonic() < until
    (other,) = before.keys() - {ill}
    assert now[other] == before[other]
    assert not {one for members in now.values() for one in members} & set(before[ill])
    assert sorted(map(len, now.values())) == [2, 2]


def test_bundles_of_replicas_in_gangs(run):
    made = member(placement_group_bundles=[{"CPU": 1}, {"CPU": 0.5}], num_replicas=2)
    found = said(run(made.bind(), name="gangs", route_prefix="/gangs"), 2)
    assert len(gangs(found)) == 1


def test_a_replica_without_a_gang_has_none(run):
    @serve.deployment
    class Alone:
        def __call__(self):
            return serve.get_replica_context().gang_context

    assert run(Alone.bind(), name="alone", route_prefix="/alone").remote().result() is None


def test_a_config_of_gangs_has_defaults():
    config = GangSchedulingConfig(gang_size=4)
    assert config.gang_placement_strategy == GangPlacementStrategy.PACK == "PACK"
    assert config.runtime_failure_policy == GangRuntimeFailurePolicy.RESTART_GANG == "RESTART_GANG"
    assert GangSchedulingConfig(gang_size=1, gang_placement_strategy="SPREAD").gang_placement_strategy == "SPREAD"


def test_wrong_configs_of_gangs_are_refused():
    for wrong in ({}, {"gang_size": 0}, {"gang_size": 2, "gang_placement_strategy": "STRICT_PACK"}):
        with pytest.raises(ValueError):
            GangSchedulingConfig(**wrong)
    with pytest.raises(NotImplementedError, match="RESTART_REPLICA"):
        GangSchedulingConfig(gang_size=2, runtime_failure_policy="RESTART_REPLICA")


def test_the_number_of_replicas_is_a_multiple_of_the_gangs_size():
    with pytest.raises(ValueError, match=r"num_replicas \(3\) must be a multiple of gang_size \(2\)"):
        member(num_replicas=3)
    with pytest.raises(ValueError, match=r"num_replicas \(5\) must be a multiple of gang_size \(2\)"):
        member().options(num_replicas=5)
    assert member(num_replicas=None, autoscaling_config={"max_replicas": 4}).name == "Member"


def test_gangs_exclude_options_of_single_replicas():
    with pytest.raises(ValueError, match="max_replicas_per_node"):
        member(max_replicas_per_node=2)
    with pytest.raises(ValueError, match="placement_group_strategy"):
        member(placement_group_bundles=[{"CPU": 1}], placement_group_strategy="PACK")


def test_a_context_of_a_gang_is_made_of_its_parts():
    made = GangContext("g", 1, 2, ["a", "b"])
    assert (made.gang_id, made.rank, made.world_size, made.member_replica_ids, made.pg_name) == (
        *("g", 1, 2, ["a", "b"]),
        "",
    )
