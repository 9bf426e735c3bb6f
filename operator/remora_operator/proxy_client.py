"""Proxies: hands each its routing, and remembers who has which version.

One task per application with a deadline for every proxy, so that a dead one holds up neither its siblings nor a
reconcile. Once a proxy took the routing, the application is woken: an old Ray cluster may wait for that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TypeAlias

from remora_operator.contacts import Push
from remora_operator.errors import OperatorError
from remora_operator.kinds import Key
from remora_operator.signed_http import SignedHttp

log = logging.getLogger(__name__)

Wake: TypeAlias = Callable[[Key], None]
"""Has an application reconciled."""

PUSH_S = 3.0
RETRY_S = 2.0


class ProxyPushes:
    """Routing on its way to proxies, by application."""

    def __init__(self, http: SignedHttp, wake: Wake) -> None:
        self._http = http
        self._wake = wake
        self._tasks: dict[Key, tuple[Push, asyncio.Task[None]]] = {}
        self._routed: dict[Key, dict[str, int]] = {}

    def routed(self, key: Key) -> Mapping[str, int]:
        """Return the version that each proxy took, by its pod's boot."""
        return dict(self._routed.get(key, {}))

    def follow(self, key: Key, push: Push | None) -> None:
        """Bring this push to an end, and no earlier one."""
        current = self._tasks.get(key)
        if current is not None and current[0] == push and not current[1].done():
            return
        if current is not None:
            current[1].cancel()
            del self._tasks[key]
        if push is not None:
            self._tasks[key] = (push, asyncio.create_task(self._deliver(key, push)))

    def forget(self, key: Key) -> None:
        """Drop what is known of an application that is gone."""
        self.follow(key, None)
        self._routed.pop(key, None)

    def close(self) -> None:
        """End all pushes."""
        for key in list(self._tasks):
            self.follow(key, None)

    async def _deliver(self, key: Key, push: Push) -> None:
        late = dict(push.proxies)
        while late:
            took = await asyncio.gather(*(self._push(key, push, url) for url in late.values()))
            for boot in [boot for boot, ok in zip(list(late), took, strict=True) if ok]:
                del late[boot]
                self._routed.setdefault(key, {})[boot] = push.routing.version
            if any(took):
                self._wake(key)
            if late:
                await asyncio.sleep(RETRY_S)

    async def _push(self, key: Key, push: Push, url: str) -> bool:
        body = push.routing.to_json()
        try:
            await self._http.request("PUT", url, "/v1/routing", push.key, body=body, timeout_s=PUSH_S)
        except OperatorError as error:
            extra = {"namespace": key.namespace, "app": key.name, "error": str(error)}
            log.warning("a proxy did not take the routing", extra=extra)
            return False
        return True
