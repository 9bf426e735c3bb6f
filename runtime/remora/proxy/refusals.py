"""How the proxy says no: what it answers in its own name, and in which order those hear it who are refused at once.

Whoever finds all replicas and the queue full is refused without a task. Such answers wait in a line of their own, of
which every turn of the loop tells a few: under ten times as many requests as there is room for, a turn that told all
of them would last many milliseconds, in which the answers of the replicas lie unread and their places stay empty. What
comes while there is a line joins it unread, for the same reason: clients may send by the hundred what takes as long to
read as to refuse.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from remora.errors import BackPressureError, DeploymentUnavailable, ProtocolError, RemoraError
from remora.proxy.client import Client
from remora.proxy.visit import Visit
from remora.router.forward import ApplicationFailed
from remora.transport.messages import Headers, HeadTooLarge

NONE: Final[Mapping[str, str]] = {}
RETRY_SOON: Final[Mapping[str, str]] = {"retry-after": "1"}
CLIENT_GONE: Final = 499
TEXT: Final = b"text/plain; charset=utf-8"
A_TURN: Final = 4
"""Of the line in one turn of the loop: a third of a millisecond's work."""


class Unread(Protocol):
    """A connection with something to read."""

    def read_on(self) -> None:
        """Read it, unless the client has gone."""
        ...


class Refused:
    """One request that is refused; `Refusals` tells it so, unless its client goes before."""

    __slots__ = ("client", "error", "gone", "refusals", "visit")

    opened: Final = None
    """In the place of a `ShortWay`, whose task goes on where it stopped: no replica has this request."""

    def __init__(self, visit: Visit, client: Client, error: BackPressureError, refusals: Refusals) -> None:
        self.visit = visit
        self.client = client
        self.error = error
        self.gone = False
        """Its client has left; its place in the line is passed over."""
        self.refusals = refusals

    def cancel(self) -> None:
        """The client has gone."""
        self.refusals.leave(self)


class Refusals:
    """The line of those who are to be told. ``record`` is called once for each that ends here."""

    def __init__(self, record: Callable[[Visit, int, str | None], None]) -> None:
        self._record = record
        self.line: deque[Refused | Unread] = deque()
        """Read by `protocol`: where somebody stands in it, others join it."""
        self.reading = False
        """Whoever reads now is the first of it."""
        self._found: Refused | None = None
        """Whom that one's request made."""
        self._moving: asyncio.Handle | None = None

    def add(self, visit: Visit, client: Client, error: BackPressureError) -> Refused:
        """Tell the client soon: now, if it has stood in the line unread."""
        refused = Refused(visit, client, error, self)
        if self.reading and self._found is None:
            self._found = refused
        else:
            self.line.append(refused)
            self._move_soon()
        return refused

    def put_off(self, connection: Unread) -> None:
        """Have the connection read on when its turn comes."""
        self.line.append(connection)
        self._move_soon()

    def leave(self, refused: Refused) -> None:
        """The client of this one has gone."""
        # Not taken out: all may leave at once, and each would be looked for from the front.
        refused.gone = True
        refused.client.served(refused)
        self._record(refused.visit, CLIENT_GONE, "the client went away")

    def _move_soon(self) -> None:
        if self._moving is None:
            self._moving = asyncio.get_running_loop().call_soon(self._move)

    def _move(self) -> None:
        self._moving = None
        try:
            for _ in range(min(A_TURN, len(self.line))):
                first = self.line.popleft()
                refused = first if isinstance(first, Refused) else self._read(first)
                if refused is not None and not refused.gone:
                    self._tell(refused)
        finally:
            if self.line:
                self._move_soon()

    def _read(self, connection: Unread) -> Refused | None:
        self.reading = True
        try:
            connection.read_on()
            return self._found
        finally:
            self.reading, self._found = False, None

    def _tell(self, refused: Refused) -> None:
        visit, client, error = refused.visit, refused.client, refused.error
        client.served(refused)
        headers, body = refusal(str(error), visit.extra, error.headers)
        if client.answer(error.status_code, headers, body):
            self._record(visit, error.status_code, str(error))
        else:
            client.start_task()


def refusal(reason: str, extra: Headers, advice: Mapping[str, str]) -> tuple[Headers, bytes]:
    """Return headers and body of an answer of the proxy's own: plain text, as Ray Serve's."""
    body = reason.encode()
    more = ((name.encode(), value.encode()) for name, value in advice.items())
    return [*headers_of(body, TEXT, extra), *more], body


def headers_of(body: bytes, kind: bytes, extra: Headers) -> Headers:
    """Return the headers of an answer of the proxy's own."""
    return [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *extra]


def status_of(error: RemoraError) -> int:
    """Return the status of the answer to a request that ended with this error."""
    match error:
        case BackPressureError():
            return error.status_code
        case DeploymentUnavailable():
            return 503
        case HeadTooLarge():
            return 431
        case ApplicationFailed():
            return 500
        case ProtocolError():
            return 502
        case _:
            return 500


def advice_of(error: RemoraError) -> Mapping[str, str]:
    """Return headers that say when to come back."""
    match error:
        case BackPressureError():
            return error.headers
        case DeploymentUnavailable():
            return RETRY_SOON
        case _:
            return NONE
