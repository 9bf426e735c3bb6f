"""What comes while others wait to be refused: it is read in its turn, whole and in order."""

from __future__ import annotations

from remora.proxy.known_requests import KnownRequests
from remora.proxy.protocol import MAX_UNREAD
from remora.proxy.refusals import Refusals
from tests.fakes.connections import Server, Socket, connected

GET = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"


class Somebody:
    """Stands in the line."""

    def read_on(self) -> None:
        raise AssertionError("whose turn it is not")


class Moved(Refusals):
    """A line that moves when the test says so."""

    def __init__(self) -> None:
        super().__init__(lambda visit, status, error: None)
        self.line.append(Somebody())

    def _move_soon(self) -> None:
        pass


def test_what_begins_a_request_is_read_in_its_turn() -> None:
    server, socket, refusals = Server(), Socket(), Moved()
    protocol = connected(server, socket, KnownRequests(), refusals)
    for part in (GET[:5], GET[5:9], GET[9:]):
        protocol.data_received(part)
    assert server.seen == []
    assert list(refusals.line)[1:] == [protocol]
    refusals.reading = True
    protocol.read_on()
    assert len(server.seen) == 1
    assert socket.written.startswith(b"HTTP/1.1 200")


def test_what_goes_on_with_a_request_is_read_at_once() -> None:
    server, socket, refusals = Server(), Socket(), Moved()
    somebody = refusals.line.popleft()
    protocol = connected(server, socket, KnownRequests(), refusals)
    protocol.data_received(GET[:5])
    refusals.line.append(somebody)
    protocol.data_received(GET[5:])
    assert len(server.seen) == 1


def test_of_who_sends_much_meanwhile_no_more_is_taken_until_its_turn() -> None:
    server, socket, refusals = Server(), Socket(), Moved()
    protocol = connected(server, socket, KnownRequests(), refusals)
    for at in range(MAX_UNREAD):
        protocol.data_received(GET[at : at + 1])
        assert not socket.is_paused()
    protocol.data_received(GET[MAX_UNREAD : MAX_UNREAD + 1])
    assert socket.is_paused()
    refusals.reading = True
    protocol.read_on()
    assert not socket.is_paused()
    protocol.data_received(GET[MAX_UNREAD + 1 :])
    assert len(server.seen) == 1


def test_of_who_leaves_nothing_is_read() -> None:
    server, socket, refusals = Server(), Socket(), Moved()
    protocol = connected(server, socket, KnownRequests(), refusals)
    protocol.data_received(GET)
    protocol.connection_lost(None)
    refusals.reading = True
    protocol.read_on()
    assert server.seen == []
