"""Splitting: shares as counted, rules, and clients that stay where they are."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.proxy.splitting import Split
from remora_api.wire import ApplicationRouting, ControllerEndpoint, RouteRule

OLD, NEW = 0, 1
CHI_SQUARE_1_IN_10000 = 15.14
"""The value that chi-square with one degree of freedom exceeds once in ten thousand."""


def split(weight: int, *rules: RouteRule, sticky: str = "") -> Split:
    return Split(
        ApplicationRouting(
            application="app",
            controllers=(
                ControllerEndpoint(url="http://1", weight=100 - weight, revision="old"),
                ControllerEndpoint(url="http://2", weight=weight, revision="new"),
            ),
            rules=rules,
            sticky_cookie=sticky,
        )
    )


def chi_square(counted: int, of: int, share: float) -> float:
    expected = of * share
    return (counted - expected) ** 2 / expected + (counted - expected) ** 2 / (of - expected)


@pytest.mark.parametrize("weight", [1, 5, 50])
def test_the_share_of_requests_is_the_weight(weight: int) -> None:
    draw, subject, of = Random(7).random, split(weight), 100_000
    counted = sum(subject.share((), draw).endpoint for _ in range(of))
    assert chi_square(counted, of, weight / 100) < CHI_SQUARE_1_IN_10000
    assert chi_square(counted, of, weight / 100 * 1.2) > CHI_SQUARE_1_IN_10000, "this count tells 1 % from 1.2 %"


@pytest.mark.parametrize("weight", [1, 5, 50])
def test_the_share_of_clients_is_the_weight(weight: int) -> None:
    draw, subject, of = Random(8).random, split(weight, sticky="id"), 100_000
    counted = sum(subject.share((), draw).endpoint for _ in range(of))
    assert chi_square(counted, of, weight / 100) < CHI_SQUARE_1_IN_10000


@given(st.integers(0, 100), st.integers(0, 100), st.integers())
def test_a_client_stays_and_moves_one_way_only(before: int, after: int, seed: int) -> None:
    before, after = sorted((before, after))
    first = split(before, sticky="id").share((), Random(seed).random)
    assert first.cookie.startswith(b"id=")
    cookie = [(b"cookie", b"a=b; " + first.cookie.partition(b";")[0])]

    def never() -> float:
        raise AssertionError("who is known again is not left to chance")

    again = split(before, sticky="id").share(cookie, never)
    assert again == (first.endpoint, b"")
    assert split(after, sticky="id").share(cookie, never).endpoint >= first.endpoint


def test_weights_of_0_and_100_are_exact() -> None:
    draw = Random(1).random
    assert {split(0).share((), draw).endpoint for _ in range(1000)} == {OLD}
    assert {split(100).share((), draw).endpoint for _ in range(1000)} == {NEW}


HEADER = RouteRule(revision="new", header="x-beta")
VALUE = RouteRule(revision="new", header="x-team", value="blue")
COOKIE = RouteRule(revision="new", cookie="beta", value="yes")
BACK = RouteRule(revision="old", header="x-old")


@pytest.mark.parametrize(
    ("rules", "headers", "endpoint"),
    [
        ((HEADER,), [(b"x-beta", b"")], NEW),
        ((HEADER,), [(b"x-other", b"")], OLD),
        ((VALUE,), [(b"x-team", b"blue")], NEW),
        ((VALUE,), [(b"x-team", b"red")], OLD),
        ((COOKIE,), [(b"cookie", b"a=1; beta=yes")], NEW),
        ((COOKIE,), [(b"cookie", b"beta=no"), (b"cookie", b"beta=yes")], OLD),
        ((COOKIE,), [(b"cookie", b'beta="yes"')], NEW),
        ((BACK, HEADER), [(b"x-beta", b""), (b"x-old", b"1")], OLD),
        ((RouteRule(revision="gone", header="x-beta"),), [(b"x-beta", b"")], OLD),
    ],
)
def test_rules_decide_before_weights(
    rules: tuple[RouteRule, ...], headers: list[tuple[bytes, bytes]], endpoint: int
) -> None:
    assert split(0, *rules).share(headers, Random(1).random).endpoint == endpoint
