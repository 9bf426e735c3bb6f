"""Request headers that Ray Serve's users know, by name. `proxy.visit` and `replica.user` read them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Final

REQUEST_ID: Final = b"x-request-id"
TIMEOUT: Final = b"x-request-timeout-seconds"
DISCONNECT_DISABLED: Final = b"x-request-disconnect-disabled"
"""``?1`` (a boolean of RFC 9651): the request goes on when its client goes away."""
TRACES: Final = ("traceparent", "tracestate")
"""W3C Trace Context."""
MODEL_IDS: Final = frozenset(b"serve%cmultiplexed%cmodel%cid" % marks for marks in product(b"_-", repeat=3))
"""In every spelling: gateways write one mark for the other."""
SESSION_IDS: Final = frozenset(b"x%csession%cid" % marks for marks in product(b"_-", repeat=2))

TRACES_ON_THE_WIRE: Final = {name.encode(): name for name in TRACES}


def traces(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers of a trace's context among those of an HTTP request."""
    return {TRACES_ON_THE_WIRE[name]: value.decode("latin-1") for name, value in pairs if name in TRACES_ON_THE_WIRE}


def rpc_traces(metadata: Iterable[tuple[str, str | bytes]]) -> dict[str, str]:
    """Return those among the metadata of a gRPC call."""
    return {name: value for name, value in metadata if name in TRACES and isinstance(value, str)}
