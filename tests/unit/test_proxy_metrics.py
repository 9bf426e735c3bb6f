"""What a proxy counts."""

from __future__ import annotations

from remora.proxy.metrics import Metrics


def test_requests_are_counted_by_application_status_and_time() -> None:
    metrics = Metrics()
    for seconds, code in ((0.0005, 200), (0.3, 200), (100.0, 503)):
        metrics.begin("a")
        metrics.end("a", code, seconds)
    metrics.begin("b")
    lines = metrics.text().splitlines()
    assert 'remora_proxy_requests_total{application="a",code="200"} 2' in lines
    assert 'remora_proxy_requests_total{application="a",code="503"} 1' in lines
    assert 'remora_proxy_requests_ongoing{application="b"} 1' in lines
    assert 'remora_proxy_request_seconds_bucket{application="a",le="0.001"} 1' in lines
    assert 'remora_proxy_request_seconds_bucket{application="a",le="0.5"} 2' in lines
    assert 'remora_proxy_request_seconds_bucket{application="a",le="+Inf"} 3' in lines
    assert 'remora_proxy_request_seconds_count{application="a"} 3' in lines
    assert metrics.ongoing == 1
