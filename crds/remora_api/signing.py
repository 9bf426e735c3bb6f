"""Signed HTTP between Remora's processes: both ends prove that they hold a key, and no secret crosses the wire.

Pure. Requests carry ``Remora-Date``, ``Remora-Nonce`` and ``Remora-Signature``; responses carry ``Remora-Signature``
over the request's nonce, so that an answer cannot be replayed or made by a stranger. Both cover the body.

    request:  HMAC-SHA-256(key, "request\\n" METHOD "\\n" TARGET "\\n" DATE "\\n" NONCE "\\n" SHA-256(body))
    response: HMAC-SHA-256(key, "response\\n" NONCE "\\n" STATUS "\\n" SHA-256(body))

TARGET is the path with its query, as sent. DATE is in whole seconds of Unix time; ``MAX_SKEW_S`` bounds how long a
recorded request stays good, so every endpoint must be safe to repeat (targets are versioned, reads have no effect).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

DATE_HEADER = "Remora-Date"
NONCE_HEADER = "Remora-Nonce"
SIGNATURE_HEADER = "Remora-Signature"

MAX_SKEW_S = 300


class BadSignature(Exception):
    """The message was not made by a holder of the key, or is too old."""


def request_headers(key: str, method: str, target: str, body: bytes, *, now_s: int, nonce: str) -> dict[str, str]:
    """Return the headers that make a request acceptable to a holder of the same key."""
    return {
        DATE_HEADER: str(now_s),
        NONCE_HEADER: nonce,
        SIGNATURE_HEADER: _request_signature(key, method, target, str(now_s), nonce, body),
    }


def check_request(key: str, method: str, target: str, body: bytes, headers: Mapping[str, str], *, now_s: int) -> None:
    """Accept a request, or raise BadSignature with the reason. Header names are looked up as given, then lower-case."""
    date, nonce, given = (_header(headers, name) for name in (DATE_HEADER, NONCE_HEADER, SIGNATURE_HEADER))
    if not date.isascii() or not date.isdigit():
        raise BadSignature(f"{DATE_HEADER} is missing or not a whole number of seconds")
    if abs(now_s - int(date)) > MAX_SKEW_S:
        raise BadSignature(f"{DATE_HEADER} is more than {MAX_SKEW_S} s off; check the clocks of both nodes")
    if not hmac.compare_digest(_request_signature(key, method, target, date, nonce, body), given):
        raise BadSignature("the signature does not fit the key")


def response_headers(key: str, nonce: str, status: int, body: bytes) -> dict[str, str]:
    """Return the header that proves who made a response."""
    return {SIGNATURE_HEADER: _response_signature(key, nonce, status, body)}


def check_response(key: str, nonce: str, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    """Accept a response to the request with ``nonce``, or raise BadSignature."""
    if not hmac.compare_digest(_response_signature(key, nonce, status, body), _header(headers, SIGNATURE_HEADER)):
        raise BadSignature("the response was not made by a holder of the key")


def _request_signature(key: str, method: str, target: str, date: str, nonce: str, body: bytes) -> str:
    digest = hashlib.sha256(body).hexdigest()
    return _hmac(key, f"request\n{method.upper()}\n{target}\n{date}\n{nonce}\n{digest}")


def _response_signature(key: str, nonce: str, status: int, body: bytes) -> str:
    return _hmac(key, f"response\n{nonce}\n{status}\n{hashlib.sha256(body).hexdigest()}")


def _hmac(key: str, message: str) -> str:
    return hmac.new(key.encode(), message.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()


def _header(headers: Mapping[str, str], name: str) -> str:
    return headers.get(name) or headers.get(name.lower()) or ""
