"""What the heads of frames hold, and how they are laid down: msgpack arrays, never pickles.

A frame that opens or answers a stream is ``head length u32 ‖ head ‖ first part of the body``. A pickled value is only
ever the body: data and out-of-band buffers one after the other, with their sizes in the head.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from struct import Struct
from typing import Any, TypeVar

import msgspec

from remora.errors import ProtocolError
from remora.transport.frames import MAX_HEAD_BYTES, MAX_PART_BYTES
from remora.types import CallMetadata, Payload

Headers = list[tuple[bytes, bytes]]


class RequestHead(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An HTTP request, or the opening handshake of a WebSocket, as the proxy read it."""

    type: str
    method: str
    path: str
    raw_path: bytes
    query_string: bytes
    root_path: str
    scheme: str
    http_version: str
    headers: Headers
    client: tuple[str, int] | None
    server: tuple[str, int | None] | None
    request_id: str
    timeout_s: float | None = None
    """Seconds that are left, counted from arrival."""
    subprotocols: list[str] = []


class ResponseHead(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Status and headers of an answer, with the replica's load."""

    status: int
    headers: Headers
    load: int


class CallHead(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A handle call."""

    sizes: list[int]
    request_id: str
    method: str
    stream: bool
    deadline_s: float | None
    multiplexed_model_id: str
    session_id: str
    route: str
    headers: dict[str, str]

    @classmethod
    def of(cls, metadata: CallMetadata, sizes: list[int]) -> CallHead:
        """Return the head of a call."""
        return cls(
            sizes,
            metadata.request_id,
            metadata.method,
            metadata.stream,
            metadata.deadline_s,
            metadata.multiplexed_model_id,
            metadata.session_id,
            metadata.route,
            dict(metadata.headers),
        )

    @property
    def metadata(self) -> CallMetadata:
        """What the user's code may know of the call."""
        return CallMetadata(
            request_id=self.request_id,
            method=self.method,
            stream=self.stream,
            deadline_s=self.deadline_s,
            multiplexed_model_id=self.multiplexed_model_id,
            session_id=self.session_id,
            route=self.route,
            headers=self.headers,
        )


class ResultHead(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A value, or one item of a stream of values, with the replica's load."""

    sizes: list[int]
    load: int


class RpcHead(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A gRPC call."""

    path: str
    """``/package.Service/Method``."""
    servicers: list[str]
    """Import paths of the functions that register the services which the application has."""
    metadata: list[tuple[str, bytes]]
    peer: str
    request_id: str
    timeout_s: float | None


class RpcStatus(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """How a gRPC call ended: the last frame, with the replica's load."""

    code: int
    details: str
    trailing: list[tuple[str, bytes]]
    load: int


class Cause(StrEnum):
    """Why a stream failed."""

    USER = "user"
    """The user's code raised."""
    CANCELLED = "cancelled"
    """The replica gave the request up: it stops, or the deadline passed."""
    BROKEN = "broken"
    """An answer had begun and cannot be completed."""


class FailureHead(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The end of a stream that has no answer; the body is the pickled exception, if it could be pickled."""

    cause: Cause
    text: str
    sizes: list[int]
    load: int


Head = RequestHead | ResponseHead | CallHead | ResultHead | RpcHead | RpcStatus | FailureHead
AnyHead = TypeVar("AnyHead", RequestHead, ResponseHead, CallHead, ResultHead, RpcHead, RpcStatus, FailureHead)

_SIZE = Struct(">I")
_encoder = msgspec.msgpack.Encoder()
_decoders: dict[type[Any], msgspec.msgpack.Decoder[Any]] = {
    kind: msgspec.msgpack.Decoder(kind)
    for kind in (RequestHead, ResponseHead, CallHead, ResultHead, RpcHead, RpcStatus, FailureHead)
}
_message_decoder = msgspec.msgpack.Decoder(dict[str, Any])
_models_decoder = msgspec.msgpack.Decoder(list[str])


class HeadTooLarge(ProtocolError):
    """Headers beyond what one frame carries."""


def pack(head: Head, part: bytes = b"") -> bytes:
    """Return the payload of a frame that opens or answers a stream. Raises HeadTooLarge."""
    packed = _encoder.encode(head)
    if len(packed) > MAX_HEAD_BYTES - _SIZE.size:
        raise HeadTooLarge(f"the headers take {len(packed)} bytes; {MAX_HEAD_BYTES} are possible")
    return _SIZE.pack(len(packed)) + packed + part


def unpack(kind: type[AnyHead], payload: bytes) -> tuple[AnyHead, bytes]:
    """Return the head and the first part of the body. Raises ProtocolError."""
    try:
        end = 4 + int.from_bytes(payload[:4], "big")
        head: AnyHead = _decoders[kind].decode(payload[4:end])
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"a malformed {kind.__name__}: {error}") from error
    return head, payload[end:]


def pack_models(ids: Sequence[str]) -> bytes:
    """Return the payload of MODELS: as many ids as one frame carries, which are only advice to routers."""
    packed = _encoder.encode(list(ids))
    while len(packed) > MAX_HEAD_BYTES:
        ids = ids[: len(ids) // 2]
        packed = _encoder.encode(list(ids))
    return packed


def unpack_models(payload: bytes) -> frozenset[str]:
    """Return what `pack_models` packed. Raises ProtocolError."""
    try:
        return frozenset(_models_decoder.decode(payload))
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"malformed model ids: {error}") from error


def pack_facts(facts: Mapping[str, Any]) -> bytes:
    """Return the payload of FACTS. Raises HeadTooLarge, and TypeError for what msgpack cannot hold."""
    packed = _encoder.encode(dict(facts))
    if len(packed) > MAX_HEAD_BYTES:
        raise HeadTooLarge(
            f"what routers may know of the replica takes {len(packed)} bytes; {MAX_HEAD_BYTES} are possible"
        )
    return packed


def unpack_facts(payload: bytes) -> dict[str, Any]:
    """Return what `pack_facts` packed. Raises ProtocolError."""
    return unpack_message(payload)


def cut_message(message: Any) -> Iterator[bytes]:
    """Yield one ASGI message of a WebSocket in parts; the first byte of each says whether it is the last."""
    return cut_bytes(_encoder.encode(message))


def cut_bytes(message: bytes) -> Iterator[bytes]:
    """Yield one message in parts, one at least; the first byte of each says whether it is the last."""
    step = MAX_PART_BYTES - 1
    for start in range(0, len(message) or 1, step):
        yield (b"\1" if start + step >= len(message) else b"\0") + message[start : start + step]


def unpack_message(packed: bytes) -> dict[str, Any]:
    """Return the ASGI message. Raises ProtocolError."""
    try:
        message: dict[str, Any] = _message_decoder.decode(packed)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"a malformed message: {error}") from error
    return message


def sizes_of(payload: Payload) -> list[int]:
    """Return the sizes of a pickled value's data and buffers, in bytes."""
    if not payload.buffers:
        return [len(payload.data)]
    return [len(payload.data), *(_size(buffer) for buffer in payload.buffers)]


def parts_of(payload: Payload) -> Iterator[bytes]:
    """Yield the bytes of a pickled value in full parts: one at least, and none empty but that one."""
    if not payload.buffers and len(payload.data) <= MAX_PART_BYTES:
        yield payload.data
        return
    yielded = False
    pending = bytearray()
    for chunk in (payload.data, *payload.buffers):
        view = memoryview(chunk).cast("B")
        while len(view):
            room = MAX_PART_BYTES - len(pending)
            pending += view[:room]
            view = view[room:]
            if len(pending) == MAX_PART_BYTES:
                yield bytes(pending)
                yielded = True
                pending.clear()
    if pending or not yielded:
        yield bytes(pending)


def assemble(sizes: Sequence[int], body: bytes | bytearray) -> Payload:
    """Return the pickled value whose bytes have all arrived."""
    if len(sizes) == 1:
        return Payload(bytes(body))
    view = memoryview(body)
    cuts: list[memoryview] = []
    start = 0
    for size in sizes:
        cuts.append(view[start : start + size])
        start += size
    return Payload(bytes(cuts[0]), tuple(cuts[1:]))


def _size(buffer: bytes | memoryview) -> int:
    return buffer.nbytes if isinstance(buffer, memoryview) else len(buffer)
