"""Request headers that Ray Serve's users know, by name. `proxy.visit` and `replica.user` read them."""

from __future__ import annotations

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
