"""PrometheusQueryMixin: a policy that has it finds answers of Prometheus at hand, and never waits for the network.

As in Ray Serve, RAY_PROMETHEUS_HOST and RAY_PROMETHEUS_HEADERS stand in for what is not given.
"""

from __future__ import annotations

import logging
import threading
import time
import urllib.parse
import urllib.request
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Final

from remora.compat import prometheus_answer as answers
from remora.compat.prometheus_answer import PrometheusQueryResult
from remora.compat.settings import PrometheusSettings

log = logging.getLogger("remora.policies")

TIMEOUT_S: Final = 5.0
MAX_ANSWER_BYTES: Final = 16 << 20


class _Fetcher:
    """Asks the queries again and again in a thread of its own. It does not know the policy, whose end is its end."""

    def __init__(self, url: str, queries: Sequence[str], headers: Mapping[str, str], interval_s: float) -> None:
        self.stopped = threading.Event()
        self.latest: tuple[float, dict[str, PrometheusQueryResult]] | None = None
        """When the last round ended, in monotonic seconds, and its results by query; replaced as a whole."""
        self._url = url
        self._queries = queries
        self._headers = headers
        self._interval_s = interval_s

    def run(self) -> None:
        """Ask until `stopped`."""
        while not self.stopped.is_set():
            found = {}
            for query in self._queries:
                try:
                    result = self._ask(query)
                except (OSError, ValueError) as error:
                    log.warning("Prometheus at %s does not tell %r: %s", self._url, query, error)
                    continue
                if result is not None:
                    found[query] = result
            self.latest = (time.monotonic(), found)
            self.stopped.wait(self._interval_s)

    def _ask(self, query: str) -> PrometheusQueryResult | None:
        """Ask one query. Raises OSError and ValueError."""
        url = f"{self._url}?{urllib.parse.urlencode({'query': query})}"
        request = urllib.request.Request(url, headers=dict(self._headers))
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            body = answer.read(MAX_ANSWER_BYTES + 1)
        if len(body) > MAX_ANSWER_BYTES:
            raise ValueError(f"the answer is larger than {MAX_ANSWER_BYTES} bytes: have the query give fewer series")
        return answers.result_in(body)


class PrometheusQueryMixin:
    """For policies that are classes: the latest results of their queries are `prometheus_results`.

    The first look starts a thread that asks every `fetch_interval_s` seconds. Results older than `cache_ttl_s` seconds
    are none. Raises ValueError for headers that are none.
    """

    def __init__(
        self,
        *,
        prometheus_address: str | None = None,
        prometheus_queries: Sequence[str] | None = None,
        fetch_interval_s: float = 5.0,
        cache_ttl_s: float = 15.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        settings = PrometheusSettings.read()
        self._address = prometheus_address or settings.address
        self._headers = answers.headers_in(settings.headers)
        self._queries = list(prometheus_queries or ())
        self._fetch_interval_s = fetch_interval_s
        self._cache_ttl_s = cache_ttl_s
        self._fetcher: _Fetcher | None = None

    @property
    def prometheus_results(self) -> dict[str, PrometheusQueryResult] | None:
        """Results by query, without those that failed; None when there are none, or none that are fresh."""
        if not (self._address and self._queries):
            return None
        if self._fetcher is None:
            self._fetcher = self._started()
        latest = self._fetcher.latest
        if latest is None or time.monotonic() - latest[0] > self._cache_ttl_s:
            return None
        return dict(latest[1]) or None

    @property
    def prometheus_metrics(self) -> dict[str, float] | None:
        """Values by query, of those results that are one value; None when there are none."""
        values = {query: answers.one_value(result) for query, result in (self.prometheus_results or {}).items()}
        return {query: value for query, value in values.items() if value is not None} or None

    def _started(self) -> _Fetcher:
        fetcher = _Fetcher(answers.query_url(self._address), self._queries, self._headers, self._fetch_interval_s)
        threading.Thread(target=fetcher.run, name="remora-prometheus", daemon=True).start()
        weakref.finalize(self, fetcher.stopped.set)
        return fetcher
