"""Replicas with a placement group each, for what they start in Ray."""

import time

import pytest
import ray
from ray import serve
from ray.util.placement_group import placement_group_table

BUNDLES = [{"CPU": 1}, {"CPU": 2}, {"CPU": 0.5}]


@ray.remote
class Worker:
    def group(self):
        return ray.util.get_current_placement_group().id.hex()


@ray.remote
def where():
    return ray.util.get_current_placement_group().id.hex()


class Large:
    """A server with a worker in a bundle of its own."""

    def __init__(self, version=1):
        self.version = version
        self.worker = Worker.options(num_cpus=2).remote()

    async def __call__(self):
        group = ray.util.get_current_placement_group()
        return {
            "version": self.version,
            "replica": serve.get_replica_context().replica_tag,
            "own": group.id.hex(),
            "bundles": group.bundle_specs,
            "actor": await self.worker.group.remote(),
            "task": await where.options(num_cpus=0.5).remote(),
            "strategy": placement_group_table(group)["strategy"],
        }

    def too_large(self):
        where.options(num_cpus=3).remote()

    def outside(self):
        @ray.remote(num_cpus=3)
        def free():
            return ray.util.get_current_placement_group()

        strategy = ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(placement_group=None)
        return ray.get(free.options(scheduling_strategy=strategy).remote())


def deployment(**options):
    return serve.deployment(placement_group_bundles=BUNDLES, **options)(Large)


def living():
    """Ids of the placement groups that there are."""
    return {id_ for id_, entry in placement_group_table().items() if entry["state"] != "REMOVED"}


def eventually(is_so, limit_s=30):
    until = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_replica_and_what_it_starts_are_in_its_group(run):
    before = living()
    said = run(deployment().bind(), name="large", route_prefix="/large").remote().result()
    assert said["own"] == said["actor"] == said["task"]
    assert said["bundles"] == [{"CPU": 1.0}, {"CPU": 2.0}, {"CPU": 0.5}]
    assert said["strategy"] == "PACK"
    assert living() - before == {said["own"]}


def test_each_replica_has_a_group_of_its_own_until_it_goes(run):
    before = living()
    made = deployment(num_replicas=2, placement_group_strategy="STRICT_PACK", ray_actor_options={"num_cpus": 0.5})
    handle = run(made.bind(), name="large", route_prefix="/large")
    said = {}
    while len(said) < 2:
        answer = handle.remote().result()
        said[answer["replica"]] = answer["own"]
    assert living() - before == set(said.values())
    assert {placement_group_table()[id_]["strategy"] for id_ in said.values()} == {"STRICT_PACK"}
    run(made.options(num_replicas=1).bind(), name="large", route_prefix="/large")
    eventually(lambda: len(living() - before) == 1)
    serve.delete("large")
    eventually(lambda: living() == before)


def test_a_new_version_and_a_new_group_come_together(run):
    before = living()
    first = run(deployment().bind(1), name="large", route_prefix="/large").remote().result()
    handle = run(
        deployment().options(placement_group_bundles=[{"CPU": 3}, {"CPU": 1}]).bind(2),
        name="large",
        route_prefix="/large",
    )
    eventually(lambda: handle.remote().result()["version"] == 2)
    said = handle.remote().result()
    assert said["bundles"] == [{"CPU": 3.0}, {"CPU": 1.0}]
    assert said["own"] != first["own"]
    eventually(lambda: living() - before == {said["own"]})


def test_the_group_ends_with_a_replica_that_dies(run):
    before = living()
    handle = run(deployment().bind(), name="large", route_prefix="/large")
    first = handle.remote().result()
    names = [it["name"] for it in ray.util.list_named_actors(all_namespaces=True)]
    name = next(name for name in names if first["replica"] in name)
    namespace = next(it["namespace"] for it in ray.util.list_named_actors(all_namespaces=True) if it["name"] == name)
    ray.kill(ray.get_actor(name, namespace=namespace))

    def is_another():
        try:
            return handle.remote().result(timeout_s=5)["own"] != first["own"]
        except Exception:
            return False

    eventually(is_another, 60)
    eventually(lambda: living() - before == {handle.remote().result()["own"]})


def test_what_fits_no_bundle_is_refused_and_may_run_outside_of_the_group(run):
    handle = run(deployment().bind(), name="large", route_prefix="/large")
    with pytest.raises(Exception, match="cannot fit into any bundles"):
        handle.too_large.remote().result()
    assert handle.outside.remote().result() is None


def test_bundles_choose_nodes_by_their_labels(run):
    node = next(it for it in ray.nodes() if it["Alive"])
    selector = [{"ray.io/node-id": node["NodeID"]}]
    made = deployment(placement_group_bundle_label_selector=selector)
    said = run(made.bind(), name="large", route_prefix="/large").remote().result()
    nodes = placement_group_table()[said["own"]]["bundles_to_node_id"]
    assert set(nodes.values()) == {node["NodeID"]}
    assert len(nodes) == 3


WRONG = [
    {"placement_group_strategy": "PACK"},
    {"placement_group_bundle_label_selector": [{"a": "b"}]},
    {"placement_group_bundles": []},
    {"placement_group_bundles": [{}]},
    {"placement_group_bundles": [{"CPU": 0}]},
    {"placement_group_bundles": [{"CPU": "one"}]},
    {"placement_group_bundles": [{"CPU": 1}], "placement_group_strategy": "TIGHT"},
    {"placement_group_bundles": [{"CPU": 1}] * 3, "placement_group_bundle_label_selector": [{"a": "b"}] * 2},
    {"placement_group_bundles": [{"CPU": 1}], "placement_group_bundle_label_selector": [{"a": "b c"}]},
    {"placement_group_bundles": [{"GPU": 1}]},
    {"placement_group_bundles": [{"CPU": 1}], "ray_actor_options": {"num_cpus": 2}},
    {"placement_group_bundles": [{"CPU": 1}], "ray_actor_options": {"num_gpus": 1}},
    {"placement_group_bundles": [{"CPU": 1}], "ray_actor_options": {"resources": {"disk": 1}}},
    {"placement_group_bundles": [{"CPU": 1}], "max_replicas_per_node": 1},
]


def test_wrong_groups_are_refused():
    for options in WRONG:
        with pytest.raises(ValueError):
            serve.deployment(**options)(Large)
            pytest.fail(str(options))


def test_a_replica_needs_room_in_the_first_bundle_only():
    made = serve.deployment(placement_group_bundles=[{"CPU": 1}, {"GPU": 4}], ray_actor_options={"num_cpus": 0})(Large)
    assert made.options(placement_group_bundles=None).name == "Large"
