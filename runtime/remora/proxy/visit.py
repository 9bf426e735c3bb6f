"""One request at the proxy: what its head says, once read. `app` and `short_way` both work on it."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from remora.router.affinity import Affinity
from remora.router.forward import HOP_BY_HOP
from remora.transport.messages import Headers, RequestHead
from remora.types import Scope
from remora_api.wire import ApplicationRouting

REQUEST_ID: Final = b"x-request-id"
TIMEOUT: Final = b"x-request-timeout-seconds"

MODEL_IDS: Final = frozenset((b"serve_multiplexed_model_id", b"serve-multiplexed-model-id"))
SESSION_ID: Final = b"x-session-id"

_AFFINE: Final = MODEL_IDS | {SESSION_ID}
_SPECIAL: Final = _AFFINE | HOP_BY_HOP - {b"transfer-encoding"} | {REQUEST_ID, TIMEOUT, b"expect"}


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

    @property
    def name(self) -> str:
        """Return the application's name for logs and metrics; empty if no route took the request."""
        return self.application.application if self.application is not None else ""

    def head(self, timeout_s: float | None) -> RequestHead:
        """Return what travels to the replica."""
        scope = self.scope
        return RequestHead(
            "http",
            scope["method"],
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
        )

    def socket_head(self, timeout_s: float | None) -> RequestHead:
        """Return what travels to the replica of a WebSocket's handshake."""
        scope = self.scope
        return RequestHead(
            "websocket",
            "GET",
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
            scope["subprotocols"],
        )


def read(
    scope: Scope, found: tuple[str, ApplicationRouting] | None, *, begun: float, rng: Random, closing: bool
) -> Visit:
    """Read a request's head: an id of the client is kept, its own timeout wins over the application's."""
    headers: Headers = []
    given_id = b""
    affine: Headers = []
    timeout_s: float | None = None
    for pair in scope["headers"]:
        name = pair[0]
        if name in _SPECIAL:
            if name == REQUEST_ID:
                given_id = pair[1]
            elif name == TIMEOUT:
                timeout_s = seconds(pair[1])
            elif name in _AFFINE:
                affine.append(pair)
                headers.append(pair)
            continue
        headers.append(pair)
    raw_id = given_id or b"%032x" % rng.getrandbits(128)
    identified = (REQUEST_ID, raw_id)
    headers.append(identified)
    extra: Headers = [identified, (b"connection", b"close")] if closing else [identified]
    prefix, application = found if found is not None else ("", None)
    if timeout_s is None and application is not None:
        timeout_s = application.request_timeout_s
    wanted = _affinity(affine) if affine else None
    return Visit(scope, begun, prefix, application, headers, raw_id.decode("latin-1"), timeout_s, extra, wanted)


def _affinity(headers: Headers) -> Affinity | None:
    model_id = session_id = ""
    for name, value in headers:
        if name == SESSION_ID:
            session_id = value.decode("latin-1")
        else:
            model_id = value.decode("latin-1")
    return Affinity.of(model_id, session_id)


def seconds(value: bytes) -> float | None:
    """Return a timeout that a client may set; None for what is no positive number."""
    try:
        number = float(value)
    except ValueError:
        return None
    return number if 0 < number < float("inf") else None
