"""`serve.metrics`: counters, gauges and histograms of user code.

They appear at the metrics port of the Ray node that the replica runs on, labelled with the replica's own `deployment`,
`replica` and `application`, and with the request's `route` where a metric has that key. Values are collected by Ray.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from remora.errors import OptionError
from remora.handle import context as request_context
from remora.replica import context as replica_context

_OWN: Final = ("deployment", "replica", "application")
_ROUTE: Final = "route"


class _Metric:
    """What the three kinds have in common."""

    _kind: str

    def __init__(self, name: str, description: str, tag_keys: Sequence[str] | None, *more: Any) -> None:
        from ray.util import metrics

        if tag_keys is not None and not isinstance(tag_keys, tuple):
            raise TypeError(f"metric {name!r}: tag_keys must be a tuple of names, not {type(tag_keys).__name__}")
        self._made_of = (name, description, tag_keys, *more)
        self._tag_keys: tuple[str, ...] = tuple(tag_keys or ())
        replica = replica_context.current()
        self._own: dict[str, str] = {}
        if replica is not None:
            self._refuse_own(self._tag_keys)
            self._own = dict(zip(_OWN, (replica.deployment, replica.replica_tag, replica.app_name), strict=True))
        keys = (*self._own, *self._tag_keys)
        self._metric: Any = getattr(metrics, self._kind)(name, description, *more, tag_keys=keys)
        self._metric.set_default_tags(dict(self._own))

    def set_default_tags(self, default_tags: Mapping[str, str]) -> None:
        """Give values to tags that calls leave out; raises ValueError for tags that the metric has not."""
        if self._own:
            self._refuse_own(default_tags)
        self._metric.set_default_tags({**default_tags, **self._own})

    @property
    def info(self) -> dict[str, Any]:
        """Name, description, tag keys and default tags."""
        found: dict[str, Any] = self._metric.info
        return found

    def __reduce__(self) -> Any:
        return type(self), self._made_of

    def __repr__(self) -> str:
        return f"<{self._kind} {self._made_of[0]}>"

    def _tags(self, tags: Mapping[str, str] | None) -> dict[str, str]:
        given = dict(tags or {})
        if unknown := given.keys() - {*self._tag_keys, *self._own}:
            raise ValueError(f"metric {self._made_of[0]!r} has no tag {sorted(unknown)[0]!r}: name it in tag_keys")
        if _ROUTE in self._tag_keys and _ROUTE not in given:
            given[_ROUTE] = request_context.current().route
        return given

    def _refuse_own(self, names: Any) -> None:
        for name in _OWN:
            if name in names:
                raise OptionError(f"metric {self._made_of[0]!r}: tag '{name}' is set by Remora itself: choose another")


class Counter(_Metric):
    """Only goes up."""

    _kind = "Counter"

    def __init__(self, name: str, description: str = "", tag_keys: tuple[str, ...] | None = None) -> None:
        super().__init__(name, description, tag_keys)

    def inc(self, value: float = 1.0, tags: Mapping[str, str] | None = None) -> None:
        """Count; raises ValueError for values that are not above 0, and for tags without a value."""
        self._metric.inc(value, self._tags(tags))


class Gauge(_Metric):
    """Has the value that was set last."""

    _kind = "Gauge"

    def __init__(self, name: str, description: str = "", tag_keys: tuple[str, ...] | None = None) -> None:
        super().__init__(name, description, tag_keys)

    def set(self, value: float, tags: Mapping[str, str] | None = None) -> None:
        """Set the value; raises ValueError for tags without a value."""
        self._metric.set(value, self._tags(tags))


class Histogram(_Metric):
    """Counts values by size."""

    _kind = "Histogram"

    def __init__(
        self,
        name: str,
        description: str = "",
        boundaries: list[float] | None = None,
        tag_keys: tuple[str, ...] | None = None,
    ) -> None:
        """`boundaries` are the upper bounds of the buckets, above 0 and rising."""
        self._boundaries = boundaries
        super().__init__(name, description, tag_keys, boundaries)

    def __reduce__(self) -> Any:
        name, description, tag_keys, boundaries = self._made_of
        return type(self), (name, description, boundaries, tag_keys)

    def observe(self, value: float, tags: Mapping[str, str] | None = None) -> None:
        """Count a value; raises ValueError for tags without a value."""
        self._metric.observe(value, self._tags(tags))
