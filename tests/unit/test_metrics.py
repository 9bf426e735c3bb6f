"""`serve.metrics`: what is checked, and which labels are added. Ray, which collects the values, is not started."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from remora import metrics, serve
from tests.unit.serving import serving


def test_outside_of_replicas_a_metric_has_its_own_tags_only() -> None:
    counter = metrics.Counter("calls", "how many", tag_keys=("kind",))
    counter.set_default_tags({"kind": "plain"})
    counter.inc()
    counter.inc(2, tags={"kind": "other"})
    assert counter.info == {
        "name": "calls", "description": "how many", "tag_keys": ("kind",), "default_tags": {"kind": "plain"}
    }  # fmt: skip


async def test_on_a_replica_it_is_labelled_with_the_replica() -> None:
    @serve.deployment
    class Measured:
        def __init__(self) -> None:
            self.level = metrics.Gauge("level", tag_keys=("kind", "route"))
            self.size = metrics.Histogram("size", boundaries=[1, 10])

        def __call__(self, request: Any = None) -> Any:
            self.level.set(3, {"kind": "a"})
            self.size.observe(5)
            return self.level.info

        def reserved(self) -> None:
            metrics.Counter("own", tag_keys=("deployment",))

        def reserved_later(self) -> None:
            self.level.set_default_tags({"application": "x"})

    async with serving(Measured.bind()) as app:
        info = await app.handle().remote()
        assert info["tag_keys"] == ("deployment", "replica", "application", "kind", "route")
        assert info["default_tags"] == {"deployment": "Measured", "replica": "shop#Measured#1", "application": "shop"}
        for method in ("reserved", "reserved_later"):
            with pytest.raises(ValueError, match="is set by Remora itself"):
                await app.handle().options(method_name=method).remote()


def test_what_cannot_be_measured_is_refused() -> None:
    counter = metrics.Counter("calls", tag_keys=("kind",))
    with pytest.raises(ValueError, match="0"):
        counter.inc(0, {"kind": "a"})
    with pytest.raises(ValueError, match="kind"):
        counter.inc()
    with pytest.raises(ValueError, match="has no tag 'colour'"):
        counter.inc(tags={"kind": "a", "colour": "b"})
    with pytest.raises(TypeError, match="tag_keys must be a tuple"):
        metrics.Counter("calls", tag_keys=["kind"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "metric", [metrics.Counter("a", "d", ("k",)), metrics.Gauge("b"), metrics.Histogram("c", "d", [1.0], ("k",))]
)
def test_metrics_travel_as_what_they_were_made_of(metric: Any) -> None:
    copy = pickle.loads(pickle.dumps(metric))
    assert (repr(copy), copy.info) == (repr(metric), metric.info)
