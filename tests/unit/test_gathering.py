"""When items make a batch: by number, by size, by time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from remora.batching.gathering import Gathering, Limits

LIMITS = Limits(max_size=3, wait_s=0.1)


def of(*items: str, measured: bool = False) -> Gathering[str]:
    gathering: Gathering[str] = Gathering((lambda batch: sum(map(len, batch))) if measured else None)
    for moment, item in enumerate(items):
        gathering.add(item, moment / 100)
    return gathering


def test_nothing_is_due_when_nothing_waits() -> None:
    assert of().due_at(LIMITS) is None


def test_the_oldest_item_decides_how_long_the_others_wait() -> None:
    assert of("a", "b").due_at(LIMITS) == 0.1


def test_a_full_batch_is_due_at_once_and_leaves_the_rest() -> None:
    gathering = of("a", "b", "c", "d")
    assert gathering.due_at(LIMITS) == 0.0
    assert gathering.take(LIMITS) == ["a", "b", "c"]
    assert gathering.due_at(LIMITS) == 0.03 + 0.1
    assert gathering.take(LIMITS) == ["d"]
    assert not gathering


def test_without_a_wait_a_single_item_is_due_at_once() -> None:
    assert of("a").due_at(Limits(10, 0)) == 0.0


def test_a_measure_counts_instead_of_the_number_of_items() -> None:
    gathering = of("aa", "bb", "c", measured=True)
    # "bb" does not fit beside "aa": the batch is whole without being full.
    assert gathering.due_at(LIMITS) == 0.0
    assert gathering.take(LIMITS) == ["aa"]
    assert gathering.take(LIMITS) == ["bb", "c"]


def test_other_limits_count_from_now_on() -> None:
    gathering = of("a", "b", measured=True)
    assert gathering.due_at(LIMITS) == 0.1
    assert gathering.due_at(Limits(2, 0.1)) == 0.0
    assert gathering.due_at(LIMITS) == 0.1


def test_what_fits_no_more_goes_alone() -> None:
    gathering = of("aaa", "b", measured=True)
    assert gathering.take(Limits(1, 0)) == ["aaa"]


def test_who_is_removed_is_in_no_batch() -> None:
    gathering = of("a", "b", "c", measured=True)
    assert gathering.due_at(LIMITS) == 0.0
    gathering.remove("b")
    gathering.remove("z")
    assert gathering.due_at(LIMITS) == 0.1
    assert gathering.take(LIMITS) == ["a", "c"]


@given(
    sizes=st.lists(st.integers(1, 5), max_size=30),
    max_size=st.integers(5, 12),
    looks=st.lists(st.booleans(), max_size=30),
)
def test_no_item_is_lost_twice_or_out_of_order_and_no_batch_is_too_large(
    sizes: list[int], max_size: int, looks: list[bool]
) -> None:
    limits = Limits(max_size, 0)
    gathering: Gathering[tuple[int, int]] = Gathering(lambda batch: sum(size for _, size in batch))
    taken: list[list[tuple[int, int]]] = []
    for item, look in zip(enumerate(sizes), looks + [False] * len(sizes), strict=False):
        gathering.add(item, 0)
        if look:
            gathering.due_at(limits)
    while gathering:
        taken.append(gathering.take(limits))
    assert [item for batch in taken for item in batch] == list(enumerate(sizes))
    assert all(sum(size for _, size in batch) <= max_size for batch in taken)
