"""Heads that are known are answered with the same bytes as those that are put together."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from remora.proxy.client import Client
from remora.proxy.known_heads import LONGEST_BYTES, KnownHeads
from remora.proxy.recurring import KEPT
from remora.router.forward import headers_for_client
from remora.transport.messages import Headers, ResponseHead, pack

EXTRA: Headers = [(b"x-request-id", b"one")]
OK: Headers = [(b"content-type", b"text/plain"), (b"content-length", b"2")]


class Cycle:
    """What a Client asks of uvicorn's cycle."""

    def __init__(self, *, keep_alive: bool = True, method: str = "GET") -> None:
        self.written: list[bytes] = []
        self.transport = SimpleNamespace(write=self.written.append, close=lambda: None)
        self.flow = SimpleNamespace(write_paused=False)
        self.message_event = SimpleNamespace(set=lambda: None)
        self.default_headers = [(b"date", b"today")]
        self.scope = {"method": method}
        self.keep_alive = keep_alive
        self.response_started = self.response_complete = self.disconnected = False

    def on_response(self) -> None:
        """Nothing waits for it."""


def asking(cycle: Cycle) -> Client:
    return Client(cast(Any, None), cast(Any, cycle), cast(Any, None))


def known(status: int, headers: Headers, load: int, body: bytes, heads: KnownHeads | None = None) -> Any:
    """Return what `take` says to the third answer with a head."""
    heads = heads or KnownHeads()
    for earlier in (0, 1):
        head = ResponseHead(status, headers, earlier)
        assert heads.take(pack(head, b"before")) is None
        heads.learn(pack(head, b"before"), head)
    return heads.take(pack(ResponseHead(status, headers, load), body))


names = st.sampled_from([b"content-length", b"content-type", b"connection", b"te", b"x-a", b"set-cookie"])
values = st.sampled_from([b"2", b"3", b"x", b"", b"a\r\nb: c", b"9" * 30, b"\xff"])


@given(
    status=st.sampled_from([200, 201, 404, 503, 599, 600, 999]),
    headers=st.lists(st.tuples(names, values), max_size=4),
    load=st.integers(0, 70_000),
    body=st.sampled_from([b"", b"ab", b"abc"]),
    keep_alive=st.booleans(),
    method=st.sampled_from(["GET", "HEAD"]),
)
def test_the_answer_is_the_same(
    status: int, headers: Headers, load: int, body: bytes, keep_alive: bool, method: str
) -> None:
    found = known(status, headers, load, body)
    if found is None:
        return
    head, its_load, its_body = found
    assert (its_load, its_body) == (load, body)
    usual, short = Cycle(keep_alive=keep_alive, method=method), Cycle(keep_alive=keep_alive, method=method)
    response = ResponseHead(status, headers, load)
    answered = asking(usual).answer(status, headers_for_client(response, EXTRA), body)
    assert asking(short).answer_known(head, EXTRA, its_body) is answered
    assert short.written == usual.written
    assert short.response_complete is usual.response_complete is answered


def test_what_comes_again_and_again_is_known() -> None:
    found = known(200, OK, 7, b"ok")
    assert found is not None
    assert found[1:] == (7, b"ok")


def test_a_load_of_several_bytes_is_never_taken_for_another() -> None:
    heads = KnownHeads()
    assert known(200, OK, 1, b"ok", heads) is not None
    for load in (128, 255, 256, 300, 70_000):
        payload = pack(ResponseHead(200, OK, load), b"ok")
        for _ in range(3):
            found = heads.take(payload)
            assert found is None or found[1:] == (load, b"ok")
            heads.learn(payload, ResponseHead(200, OK, load))


def test_an_answer_that_asks_its_client_to_leave_is_for_the_long_way() -> None:
    found = known(200, OK, 0, b"ok")
    assert not asking(Cycle()).answer_known(found[0], [(b"connection", b"close")], b"ok")


def test_memory_is_bounded() -> None:
    heads = KnownHeads()
    long: Headers = [(b"x", b"y" * LONGEST_BYTES), (b"content-length", b"2")]
    assert known(200, long, 0, b"ok", heads) is None
    for n in range(3 * KEPT):
        head = ResponseHead(200, [*OK, (b"etag", b"%d" % n)], 0)
        heads.learn(pack(head), head)
        assert len(heads._kept) <= KEPT


def test_a_payload_that_ends_too_early_is_not_taken() -> None:
    heads = KnownHeads()
    assert known(200, OK, 0, b"ok", heads) is not None
    whole = pack(ResponseHead(200, OK, 0))
    assert heads.take(whole) is not None
    assert heads.take(whole[:-1]) is None
    assert heads.take(b"") is None
