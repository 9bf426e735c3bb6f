"""A request whose head is known is served as one that is parsed: uvicorn's parser is the judge."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from remora.proxy.known_requests import LONGEST_BYTES, KnownRequests
from remora.proxy.recurring import KEPT
from remora.proxy.refusals import Refusals
from tests.fakes.connections import Server, Socket, connected

PLAIN = b"GET /v1?q=1 HTTP/1.1\r\nHost: a.example\r\nX-Request-ID: 7\r\n\r\n"
POSTED = b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\n\r\nbody"


def received(reads: list[bytes], known: KnownRequests) -> tuple[list[tuple[Any, ...]], bytes, bool]:
    """Return what requests a connection brings that is read so, what it is answered, and whether it is closed."""
    server, socket = Server(), Socket()
    protocol = connected(server, socket, known, Refusals(lambda visit, status, error: None))
    for data in reads:
        if not socket.closed:
            protocol.data_received(data)
    return server.seen, socket.written, socket.closed


def knowing(*requests: bytes) -> KnownRequests:
    """Return what knows the heads of these requests, if they are such as are kept."""
    known = KnownRequests()
    for request in requests:
        received([request], known)
        received([request], known)
    return known


@pytest.mark.parametrize("request_", [PLAIN, POSTED, PLAIN.replace(b"GET", b"DELETE")])
def test_what_has_come_twice_is_not_parsed_again(request_: bytes) -> None:
    known = KnownRequests()
    assert known.take(request_) is None
    received([request_], known)
    assert known.take(request_) is None, "once is no habit"
    received([request_], known)
    assert known.take(request_) is not None
    assert received([request_, request_], known) == received([request_, request_], KnownRequests())


def test_another_path_and_another_method_have_the_same_headers() -> None:
    known = knowing(PLAIN)
    other = PLAIN.replace(b"GET /v1?q=1", b"HEAD /a%20b/%2e?x=%20&y")
    assert known.take(other) is not None
    assert received([other], known) == received([other], KnownRequests())


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"GET / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        b"GET / HTTP/1.1\r\nX-Long: " + b"x" * LONGEST_BYTES + b"\r\n\r\n",
        b"GET http://a.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n",
        PLAIN + PLAIN,
    ],
)
def test_what_is_unusual_is_always_parsed(head: bytes) -> None:
    assert knowing(head).take(head) is None


def test_half_a_request_and_two_at_once_are_parsed() -> None:
    known = knowing(PLAIN, POSTED)
    assert known.take(POSTED) is not None
    for reads in (
        [POSTED[:-1], POSTED[-1:]],
        [POSTED + PLAIN],
        [PLAIN[:20], PLAIN[20:], PLAIN],
        [POSTED[:-4], b"body" + PLAIN, PLAIN],
        [b"\r\n" + PLAIN, PLAIN],
        [b"G", PLAIN],
    ):
        assert received(reads, known) == received(reads, KnownRequests())


def test_no_more_is_kept_than_is_worth_it() -> None:
    known = knowing(PLAIN)
    for number in range(KEPT + 1):
        received([PLAIN.replace(b"a.example", b"%d.example" % number)], known)
    assert known.take(PLAIN) is None
    assert len(known) <= KEPT


USUAL = b"Host host X-A Connection Content-Length content-length Upgrade Expect Transfer-Encoding X-Request-ID".split()
NAMES = st.sampled_from([*USUAL, b"X A", b"", b"x-\xff", b" folded"])
VALUES = st.one_of(
    st.sampled_from(
        [b"4", b"0", b"5", b"+4", b"4, 4", b"close", b"keep-alive", b"Keep-Alive, Upgrade", b"chunked", b"h2c"]
    ),
    st.binary(max_size=8),
)
TARGETS = st.one_of(
    st.sampled_from(
        [b"/", b"/a%20b?c=d", b"//a/b", b"/a#b", b"*", b"http://h/p", b"/?", b"/%", b"/\xff", b"/a b", b""]
    ),
    st.text("/ab?%2.;=&#:@", max_size=8).map(lambda it: b"/" + it.encode()),
)
METHODS = st.sampled_from([b"GET", b"HEAD", b"POST", b"OPTIONS", b"CONNECT", b"get", b"PATCH", b"PROPFIND", b""])
VERSIONS = st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"http/1.1"])
ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r"])


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Something like a request."""
    end = draw(ENDS)
    lines = [b" ".join((draw(METHODS), draw(TARGETS), draw(VERSIONS)))]
    lines += [
        draw(NAMES) + draw(st.sampled_from([b": ", b":", b" : "])) + draw(VALUES)
        for _ in range(draw(st.integers(0, 3)))
    ]
    return end.join((*lines, b"", draw(st.sampled_from([b"", b"body", b"0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"]))))


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(requests(), METHODS, TARGETS)
@example(POSTED, b"GET", b"/other")
def test_whatever_comes_is_taken_as_the_parser_takes_it(request: bytes, method: bytes, target: bytes) -> None:
    known = knowing(request)
    _, _, rest = request.partition(b" HTTP")
    for again in (request, method + b" " + target + b" HTTP" + rest):
        assert received([again], known) == received([again], KnownRequests())
        assert received([PLAIN, again, PLAIN], known) == received([PLAIN, again, PLAIN], KnownRequests())
