"""The frame codec: first layer of the transport. Pure.

    ┌────────────┬──────────┬───────────────┬─────────┐
    │ length  u32│ kind  u8 │ stream    u32 │ payload │      length counts the payload only
    └────────────┴──────────┴───────────────┴─────────┘

Stream 0 is the connection itself; others are numbered upwards by the client that opens them. The high bit of the kind
says that the sender sends nothing more on this stream.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from remora.errors import ProtocolError

HEADER: Final = Struct(">IBI")
HEADER_BYTES: Final = HEADER.size

MAX_PART_BYTES: Final = 128 * 1024
"""Of a body, in one frame."""
MAX_HEAD_BYTES: Final = 64 * 1024
"""Of a head, which shares its frame with the first part of the body."""
MAX_PAYLOAD_BYTES: Final = MAX_HEAD_BYTES + MAX_PART_BYTES
MAX_HANDSHAKE_BYTES: Final = 256
"""Of any frame, before the other end has proved who it is."""

END: Final = 0x80

# Handshake, stream 0.
CHALLENGE: Final = 0x01
PROOF: Final = 0x02
WELCOME: Final = 0x03
# Connection, stream 0.
PING: Final = 0x08
"""Sent every second by both ends; needs no answer, as the other end sends its own."""
GOAWAY: Final = 0x09
"""The replica drains: it refuses new streams and finishes those it has."""
LOAD: Final = 0x0A
"""The replica, which refused a stream on this connection, has room again. Payload: its load, u32."""
MODELS: Final = 0x0B
"""The multiplexed models that the replica holds now, for routers to prefer it. Payload: msgpack array of strings."""
FACTS: Final = 0x0C
"""What routers may know of the replica: its request router, routing stats, metadata. Payload: msgpack map."""
# Opening a stream, client → replica.
REQUEST: Final = 0x10
CALL: Final = 0x11
RPC: Final = 0x12
"""A gRPC call."""
RESERVE: Final = 0x13
"""Takes a place for a CALL that the client sends later on the same stream; CANCEL gives the place back."""
# Answering it, replica → client.
ACCEPT: Final = 0x20
"""The stream is taken: written before the user's code begins, and opens the window for the rest of the body."""
REFUSED: Final = 0x21
"""The replica is full or drains; nothing of the request was looked at. Payload: its load, u32."""
RESPONSE: Final = 0x22
RESULT: Final = 0x23
ITEM: Final = 0x24
FAILURE: Final = 0x25
# Either way.
DATA: Final = 0x30
MESSAGE: Final = 0x31
"""A part of one message of a WebSocket or of a gRPC call."""
CREDIT: Final = 0x32
"""The receiver has consumed so many bytes of this stream. Payload: u32."""
CANCEL: Final = 0x33

Frame = tuple[int, int, bytes]
"""Kind with its END bit, stream, payload."""

_U32: Final = Struct(">I")


def encode(kind: int, stream: int, payload: bytes = b"") -> bytes:
    """Return one frame."""
    return HEADER.pack(len(payload), kind, stream) + payload


def pack_u32(value: int) -> bytes:
    """Return the payload of CREDIT, LOAD and REFUSED."""
    return _U32.pack(value)


def unpack_u32(payload: bytes) -> int:
    """Return what `pack_u32` packed."""
    if len(payload) != _U32.size:
        raise ProtocolError(f"a number of {len(payload)} bytes; expected {_U32.size}")
    value: int = _U32.unpack(payload)[0]
    return value
