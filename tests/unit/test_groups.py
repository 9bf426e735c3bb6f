"""Which node each bundle of a placement group gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.controller import placement
from remora.controller.groups import assign
from remora.controller.state import Node, NodeId
from remora_api import bundles
from remora_api.ray_labels import may_suit, suits
from remora_api.wire import Resources
from remora_api.wire_group import PlacementGroup, Strategy
from tests.unit.worlds import node


def group(strategy: str, *cpus: float, gpu: float = 0, selectors: tuple[dict[str, str], ...] = ()) -> PlacementGroup:
    parts = tuple({"CPU": cpu, **({"GPU": gpu} if gpu else {})} for cpu in cpus)
    return PlacementGroup(bundles=parts, strategy=Strategy(strategy), selectors=selectors)


def nodes(*cpus: int) -> list[Node]:
    return [node(f"n{index}", cpu_milli=cpu * 1000) for index, cpu in enumerate(cpus, 1)]


@pytest.mark.parametrize(
    ("wanted", "there", "places"),
    [
        pytest.param(group("STRICT_PACK", 1, 1), nodes(1, 2), ["n2", "n2"], id="strictly packed: a node for all"),
        pytest.param(group("STRICT_PACK", 1, 1), nodes(1, 1), None, id="or none"),
        pytest.param(group("PACK", 1, 1), nodes(1, 2), ["n2", "n2"], id="packed on one"),
        pytest.param(
            group("PACK", 1, 1, 2), nodes(1, 1, 2), ["n1", "n2", "n3"], id="on few where none is large enough"
        ),
        pytest.param(group("PACK", 1, 1, 1), nodes(1, 2), ["n2", "n2", "n1"], id="the largest first"),
        pytest.param(group("PACK", 1, 1, 1), nodes(1, 1), None, id="all or none"),
        pytest.param(group("SPREAD", 1, 1), nodes(4, 4), ["n1", "n2"], id="spread"),
        pytest.param(group("SPREAD", 1, 1, 1), nodes(4, 4), ["n1", "n2", "n1"], id="as far as there are nodes"),
        pytest.param(group("SPREAD", 1, 1), nodes(4), ["n1", "n1"], id="even on one"),
        pytest.param(group("STRICT_SPREAD", 1, 1), nodes(4), None, id="strictly spread: never on one"),
        pytest.param(
            group("STRICT_SPREAD", 1, 3), nodes(4, 1), ["n2", "n1"], id="a small one makes way for a large one"
        ),
    ],
)
def test_where_bundles_go(wanted: PlacementGroup, there: list[Node], places: list[str] | None) -> None:
    found = assign(wanted, there, {})
    assert (None if found is None else list(found)) == places


def test_what_is_held_counts() -> None:
    held = {NodeId("n1"): [Resources(cpu_milli=1500)]}
    assert assign(group("STRICT_PACK", 1, 1), nodes(3, 2), held) == ("n2", "n2")
    assert assign(group("STRICT_SPREAD", 2, 2), nodes(3, 2), held) is None


def test_packed_bundles_wait_for_a_node_that_is_large_enough_where_one_may_come() -> None:
    held = {NodeId("n1"): [Resources(cpu_milli=1000)]}
    assert assign(group("PACK", 1, 1), nodes(2, 1), held, divided=False) is None
    assert assign(group("PACK", 1, 1), nodes(2, 1), held) == ("n1", "n2")
    assert assign(group("PACK", 1, 1), nodes(1, 1), {}, divided=False) == ("n1", "n2"), "none ever is"


def test_bundles_go_where_labels_are_as_selected() -> None:
    there = [node("n1", labels={"disk": "hdd"}), node("n2", labels={"disk": "ssd"})]
    assert assign(group("PACK", 1, selectors=({"disk": "ssd"},)), there, {}) == ("n2",)
    assert assign(group("SPREAD", 1, 1, selectors=({"disk": "!hdd"}, {"disk": "!hdd"})), there, {}) == ("n2", "n2")
    assert assign(group("STRICT_SPREAD", 1, 1, selectors=({"disk": "ssd"}, {"disk": "ssd"})), there, {}) is None


@pytest.mark.parametrize(
    ("selector", "label", "answer"),
    [
        ("a", "a", True),
        ("a", None, False),
        ("!a", None, True),
        ("!a", "a", False),
        ("in(a, b)", "b", True),
        ("in(a,b)", "c", False),
        ("!in(a,b)", "c", True),
    ],
)
def test_selectors_are_rays(selector: str, label: str | None, answer: bool) -> None:
    labels = {} if label is None else {"x": label}
    assert suits({"x": selector}, labels) is answer
    assert may_suit({"x": selector}, labels) is answer


def test_what_ray_finds_out_itself_may_suit_a_node_that_is_not_there_yet() -> None:
    selector = {"ray.io/accelerator-type": "H100", "disk": "ssd"}
    assert may_suit(selector, {"disk": "ssd"})
    assert not suits(selector, {"disk": "ssd"})
    assert not may_suit(selector, {"disk": "ssd", "ray.io/accelerator-type": "L4"}), "the group says what it will be"
    assert not may_suit(selector, {})


@given(
    strategy=st.sampled_from(list(Strategy)),
    parts=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    taken=st.lists(st.integers(0, 3), max_size=4),
)
def test_no_node_is_given_more_than_it_has(
    strategy: Strategy, parts: list[int], sizes: list[int], taken: list[int]
) -> None:
    there = nodes(*sizes)
    held = {
        it.id: [Resources(cpu_milli=min(cpu * 1000, it.cpu_milli or 0))] for it, cpu in zip(there, taken, strict=False)
    }
    wanted = group(strategy, *parts)
    found = assign(wanted, there, held)
    if found is None:
        return
    for it in there:
        mine = [part for part, place in zip(bundles.of(wanted), found, strict=True) if place == it.id]
        before = list(held.get(it.id, ()))
        for part in mine:
            assert placement.takes(part, it, before)
            before.append(part)
    if strategy is Strategy.STRICT_PACK:
        assert len(set(found)) == 1
    if strategy is Strategy.STRICT_SPREAD:
        assert len(set(found)) == len(parts)
