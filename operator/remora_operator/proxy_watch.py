"""Proxies of applications that may be at zero: long-polls each, to hear when nobody asks and when somebody does.

One task for each proxy, with deadlines of its own. Whenever one says something else, the application is woken.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from remora_api import wire
from remora_api.message import Unreadable
from remora_operator.contacts import Watch
from remora_operator.errors import OperatorError
from remora_operator.kinds import Key
from remora_operator.queue import Backoff
from remora_operator.signed_http import SignedHttp

log = logging.getLogger(__name__)

POLL_S = 30.0
GRACE_S = 5.0
RETRY = Backoff(base_s=0.2, limit_s=5.0)


class ProxyWatches:
    """All that are listened to, by application and the pod's boot."""

    def __init__(self, http: SignedHttp, wake: Callable[[Key], None]) -> None:
        self._http = http
        self._wake = wake
        self._tasks: dict[Key, dict[str, tuple[Watch, asyncio.Task[None]]]] = {}
        self._said: dict[Key, dict[str, wire.ProxyActivity]] = {}

    def activity(self, key: Key) -> Mapping[str, wire.ProxyActivity]:
        """Return what each proxy said last, by its pod's boot."""
        return dict(self._said.get(key, {}))

    def follow(self, key: Key, wanted: tuple[Watch, ...]) -> None:
        """Listen to exactly these."""
        tasks = self._tasks.setdefault(key, {})
        kept = {it.boot: it for it in wanted}
        for boot in [boot for boot, (watch, _) in tasks.items() if kept.get(boot) != watch]:
            tasks.pop(boot)[1].cancel()
            self._said.get(key, {}).pop(boot, None)
        for it in wanted:
            if it.boot not in tasks:
                tasks[it.boot] = (it, asyncio.create_task(self._listen(key, it)))
        if not tasks:
            del self._tasks[key]
            self._said.pop(key, None)

    def close(self) -> None:
        """End all."""
        for key in list(self._tasks):
            self.follow(key, ())

    async def _listen(self, key: Key, watch: Watch) -> None:
        failures, epoch, version = 0, "", 0
        while True:
            query = f"/v1/activity?epoch={epoch}&after={version}&timeout_s={POLL_S:.0f}"
            try:
                status, body = await self._http.request("GET", watch.url, query, watch.key, timeout_s=POLL_S + GRACE_S)
                said = wire.ProxyActivity.from_json(body) if status != 204 else None
            except (OperatorError, Unreadable) as error:
                failures += 1
                # What it said last may be long ago: it counts as unheard, so that nothing falls asleep by it.
                if self._said.get(key, {}).pop(watch.boot, None) is not None:
                    extra = {"namespace": key.namespace, "app": key.name, "error": str(error)}
                    log.warning("a proxy does not say what it has to do", extra=extra)
                    self._wake(key)
                await asyncio.sleep(RETRY.delay_s(failures))
                continue
            failures = 0
            if said is not None:
                epoch, version = said.epoch, said.version
                self._said.setdefault(key, {})[watch.boot] = said
                self._wake(key)
