"""One request at the proxy: what its head says, once read. `app` and `short_way` both work on it."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

from remora.headers import DISCONNECT_DISABLED, MODEL_IDS, REQUEST_ID, SESSION_IDS, TIMEOUT, TRACES
from remora.proxy.routing import Picked
from remora.router.affinity import Affinity
from remora.router.forward import HOP_BY_HOP
from remora.transport.messages import Headers, RequestHead
from remora.types import Scope
from remora_api.wire import ApplicationRouting

if TYPE_CHECKING:
    from remora.proxy.spans import Spans

_AFFINE: Final = MODEL_IDS | SESSION_IDS
_TRACEPARENT: Final = TRACES[0].encode()
_SPECIAL: Final = (
    _AFFINE | HOP_BY_HOP - {b"transfer-encoding"} | {REQUEST_ID, TIMEOUT, DISCONNECT_DISABLED, _TRACEPARENT, b"expect"}
)


SAID: Final = "remora.said"
"""Key in the scope of what its headers were heard to say before."""


class Said(NamedTuple):
    """What the headers of a request say, alike for all requests that have them."""

    headers: Headers
    """What the application sees of them; the request's id is added."""
    given_id: bytes
    """The client's own; empty if it has none."""
    timeouts: tuple[bytes, ...]
    """The client's own, as they came; the last that is a number holds."""
    wanted: Affinity | None
    detached: bool
    trace: str | None


@dataclass(slots=True)
class Visit:
    """Made by `read`."""

    scope: Scope
    begun: float
    """In the clock's seconds."""
    prefix: str
    application: ApplicationRouting | None
    """None if no route took it."""
    headers: Headers
    """What the application sees."""
    request_id: str
    timeout_s: float | None
    extra: Headers
    """Headers that the proxy adds to any answer."""
    wanted: Affinity | None = None
    """What its replica should have."""
    detached: bool = False
    """The client asked that the request go on when it goes away."""
    trace: str | None = None
    """W3C trace context of the client, for the access log."""
    picked: Picked | None = None
    """Where it goes."""
    spans: Spans | None = None
    """Where tracing is on."""

    def goes_to(self, picked: Picked) -> None:
        """Note where it goes, and give its client the cookie by which it is known again."""
        self.picked = picked
        if picked.cookie:
            self.extra.append((b"set-cookie", picked.cookie))

    @property
    def name(self) -> str:
        """Return the application's name for logs and metrics; empty if no route took the request."""
        return self.application.application if self.application is not None else ""

    def head(self, timeout_s: float | None) -> RequestHead:
        """Return what travels to the replica of a request, or of a WebSocket's handshake."""
        scope = self.scope
        return RequestHead(
            scope["type"],
            # A handshake is a GET, and its scope does not say so.
            scope.get("method", "GET"),
            scope["path"],
            scope["raw_path"],
            scope["query_string"],
            self.prefix,
            scope["scheme"],
            scope["http_version"],
            self.headers,
            scope["client"],
            scope["server"],
            self.request_id,
            timeout_s,
            scope.get("subprotocols", []),
        )


def hear(headers: Headers) -> Said:
    """Return what the headers of a request say.

    The structured boolean ``?1`` of ``x-request-disconnect-disabled`` is RFC 9651's.
    """
    passed: Headers = []
    given_id = b""
    timeouts: tuple[bytes, ...] = ()
    affine: Headers = []
    detached = False
    trace: str | None = None
    for pair in headers:
        name = pair[0]
        if name in _SPECIAL:
            if name == REQUEST_ID:
                given_id = pair[1]
                continue
            if name == TIMEOUT:
                timeouts += (pair[1],)
            elif name in _AFFINE:
                affine.append(pair)
            elif name == DISCONNECT_DISABLED:
                detached = pair[1].strip() == b"?1"
            elif name == _TRACEPARENT:
                trace = pair[1].decode("latin-1")
            else:
                continue
        passed.append(pair)
    return Said(passed, given_id, timeouts, _affinity(affine) if affine else None, detached, trace)


def read(
    scope: Scope, found: tuple[str, ApplicationRouting] | None, *, begun: float, rng: Random, closing: bool
) -> Visit:
    """Read a request's head: an id of the client is kept, its own timeout wins over the application's."""
    said: Said = scope.get(SAID) or hear(scope["headers"])
    prefix, application = found if found is not None else ("", None)
    timeout_s = application.request_timeout_s if application is not None else None
    for value in said.timeouts:
        timeout_s = seconds(value, timeout_s)
    raw_id = said.given_id or b"%032x" % rng.getrandbits(128)
    identified = (REQUEST_ID, raw_id)
    return Visit(
        scope,
        begun,
        prefix,
        application,
        [*said.headers, identified],
        raw_id.decode("latin-1"),
        timeout_s,
        [identified, (b"connection", b"close")] if closing else [identified],
        said.wanted,
        said.detached,
        said.trace,
    )


def _affinity(headers: Headers) -> Affinity | None:
    model_id = session_id = ""
    for name, value in headers:
        if name in SESSION_IDS:
            session_id = value.decode("latin-1")
        else:
            model_id = value.decode("latin-1")
    return Affinity.of(model_id, session_id)


def seconds(value: bytes, otherwise: float | None) -> float | None:
    """Return the timeout that a client set: none for 0, a negative or an infinite one; ``otherwise`` for no number."""
    try:
        number = float(value)
    except ValueError:
        return otherwise
    if number != number:
        return otherwise
    return number if 0 < number < float("inf") else None
