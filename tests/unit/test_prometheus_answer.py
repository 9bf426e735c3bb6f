"""What Prometheus answers, read; what it is as a whole is shown by the compat cases."""

from __future__ import annotations

import json
from typing import Any

import pytest

from remora.compat.prometheus_answer import PrometheusScalar, PrometheusVector, headers_in, query_url, result_in


def answer(kind: str, result: Any) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}).encode()


def test_values_that_are_no_numbers_are_left_out() -> None:
    assert result_in(answer("scalar", [1, "NaN"])) is None
    assert result_in(answer("vector", [{"metric": {}, "value": [1, "+Inf"]}])) == PrometheusVector(())
    assert result_in(answer("scalar", [1, "2"])) == PrometheusScalar(value=2, timestamp=1)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>", "no JSON"),
        (b"[]", "no JSON object"),
        (b'{"status": "error", "error": "parse error"}', "parse error"),
        (b'{"status": "success"}', "no value of Prometheus"),
        (b'{"status": "success", "data": 5}', "no value of Prometheus"),
        (answer("matrix", []), "matrix"),
        (answer("scalar", None), "no value"),
        (answer("scalar", [1]), "no value"),
        (answer("scalar", ["NaN", "1"]), "timestamp"),
        (answer("vector", 5), "no value"),
        (answer("vector", [5]), "no value"),
        (answer("vector", [{"metric": {}, "histogram": [1, {}]}]), "no value"),
        (answer("vector", [{"metric": {"job": 5}, "value": [1, "1"]}]), "labels"),
    ],
)
def test_what_is_no_result_is_refused_with_the_reason(body: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        result_in(body)


def test_labels_of_a_sample_cannot_be_changed() -> None:
    found = result_in(answer("vector", [{"metric": {"job": "a"}, "value": [1, "1"]}]))
    assert isinstance(found, PrometheusVector)
    with pytest.raises(TypeError):
        found.samples[0].labels["job"] = "b"  # type: ignore[index]


def test_headers_are_an_object_or_pairs() -> None:
    assert headers_in('{"a": "b"}') == headers_in('[["a", "b"]]') == {"a": "b"}
    for wrong in ('["a"]', '{"a": 5}', "5", "no"):
        with pytest.raises(ValueError):
            headers_in(wrong)


@pytest.mark.parametrize("address", ["h:9090", "http://h:9090/", "http://h:9090/api/v1/query"])
def test_an_address_may_lack_scheme_and_path(address: str) -> None:
    assert query_url(address) == "http://h:9090/api/v1/query"
