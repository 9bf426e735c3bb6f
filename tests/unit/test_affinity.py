"""Which replica suits a request for a model, or of a session."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random

from remora.router.affinity import Affinity, choose


@dataclass
class Replica:
    name: str
    models: frozenset[str] = frozenset()
    load: int = 0
    has_room: bool = True

    def passed_over(self) -> None:
        """Its load is what it is."""


def chosen(replicas: list[Replica], affinity: Affinity, chance: Random) -> str:
    found = choose(replicas, affinity, chance)
    assert found is not None
    return found.name


def test_a_request_that_names_neither_has_no_affinity() -> None:
    assert Affinity.of("", "") is None
    assert Affinity.of("m", "") == Affinity("m", "")


def test_who_holds_the_model_is_preferred_however_busy() -> None:
    replicas = [Replica("a"), Replica("b", frozenset({"m"}), load=9), Replica("c", frozenset({"n"}))]
    assert {chosen(replicas, Affinity("m"), Random(seed)) for seed in range(20)} == {"b"}


def test_of_several_holders_the_less_loaded_is_taken() -> None:
    replicas = [Replica("a", frozenset({"m"}), load=2), Replica("b", frozenset({"m"}), load=1), Replica("c")]
    assert chosen(replicas, Affinity("m"), Random(1)) == "b"


def test_when_the_holders_are_full_who_has_fewest_models_loads_it() -> None:
    replicas = [
        Replica("a", frozenset({"m"}), has_room=False),
        Replica("b", frozenset({"n", "o"})),
        Replica("c", frozenset({"n"})),
    ]
    assert chosen(replicas, Affinity("m"), Random(1)) == "c"
    assert choose(replicas[:1], Affinity("m"), Random(1)) is None


def test_a_session_stays_on_its_replica_and_moves_on_only_when_that_is_full_or_gone() -> None:
    replicas = [Replica(name) for name in "abcde"]
    sessions = [str(number) for number in range(500)]

    def place(among: list[Replica]) -> dict[str, str]:
        return {s: chosen(among, Affinity("", s), Random(1)) for s in sessions}

    before = place(replicas)
    assert place(replicas[::-1]) == before
    assert min(Counter(before.values()).values()) > 60
    without = place(replicas[1:])
    assert all(without[s] == before[s] for s in sessions if before[s] != "a")
    replicas[0].has_room = False
    assert place(replicas) == without


def test_a_session_chooses_among_those_that_hold_the_model() -> None:
    replicas = [Replica("a"), Replica("b", frozenset({"m"})), Replica("c", frozenset({"m"}))]
    found = {chosen(replicas, Affinity("m", str(session)), Random(1)) for session in range(50)}
    assert found == {"b", "c"}
