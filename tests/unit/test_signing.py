"""Signed HTTP: what a stranger, a changed message or an old one get."""

import pytest

from remora_api.signing import (
    MAX_SKEW_S,
    SIGNATURE_HEADER,
    BadSignature,
    check_request,
    check_response,
    request_headers,
    response_headers,
)

KEY, NOW = "key", 1_800_000_000
HEADERS = request_headers(KEY, "put", "/v1/targets/a?x=1", b"body", now_s=NOW, nonce="n1")


def test_a_holder_of_the_key_is_accepted_within_the_allowed_skew() -> None:
    for skew in (-MAX_SKEW_S, 0, MAX_SKEW_S):
        check_request(KEY, "PUT", "/v1/targets/a?x=1", b"body", HEADERS, now_s=NOW + skew)


def test_header_names_may_arrive_in_lower_case() -> None:
    lowered = {name.lower(): value for name, value in HEADERS.items()}
    check_request(KEY, "PUT", "/v1/targets/a?x=1", b"body", lowered, now_s=NOW)


@pytest.mark.parametrize(
    ("key", "method", "target", "body", "now_s"),
    [
        pytest.param("other", "PUT", "/v1/targets/a?x=1", b"body", NOW, id="another key"),
        pytest.param(KEY, "DELETE", "/v1/targets/a?x=1", b"body", NOW, id="another method"),
        pytest.param(KEY, "PUT", "/v1/targets/a?x=2", b"body", NOW, id="another query"),
        pytest.param(KEY, "PUT", "/v1/targets/a?x=1", b"Body", NOW, id="another body"),
        pytest.param(KEY, "PUT", "/v1/targets/a?x=1", b"body", NOW + MAX_SKEW_S + 1, id="too old"),
        pytest.param(KEY, "PUT", "/v1/targets/a?x=1", b"body", NOW - MAX_SKEW_S - 1, id="from the future"),
    ],
)
def test_anything_else_is_refused(key: str, method: str, target: str, body: bytes, now_s: int) -> None:
    with pytest.raises(BadSignature):
        check_request(key, method, target, body, HEADERS, now_s=now_s)


def test_a_request_without_headers_is_refused_with_a_reason() -> None:
    with pytest.raises(BadSignature, match="Remora-Date"):
        check_request(KEY, "GET", "/", b"", {}, now_s=NOW)


def test_a_response_is_bound_to_the_request_it_answers() -> None:
    headers = response_headers(KEY, "n1", 200, b"yes")
    check_response(KEY, "n1", 200, b"yes", headers)
    for key, nonce, status, body in ((KEY, "n2", 200, b"yes"), (KEY, "n1", 500, b"yes"), (KEY, "n1", 200, b"no")):
        with pytest.raises(BadSignature):
            check_response(key, nonce, status, body, headers)
    with pytest.raises(BadSignature):
        check_response("other", "n1", 200, b"yes", {SIGNATURE_HEADER: headers[SIGNATURE_HEADER]})
