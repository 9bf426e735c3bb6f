"""The short way of the commonest values says what a Response would have said."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from remora.replica import responses


@pytest.mark.parametrize("value", ["", "grüß dich", b"", b"\x00bytes"])
def test_plain_values_have_the_headers_and_the_body_of_their_response(value: Any) -> None:
    response = responses.of(value, ThreadPoolExecutor(1))
    found = responses.plain(value)
    assert found is not None
    headers, body = found
    assert sorted(headers) == sorted(response.raw_headers)
    assert body == response.body


@pytest.mark.parametrize("value", [None, 1, {"a": 1}, ["x"], bytearray(b"x"), type("Text", (str,), {})("x")])
def test_all_other_values_become_a_response(value: Any) -> None:
    assert responses.plain(value) is None
