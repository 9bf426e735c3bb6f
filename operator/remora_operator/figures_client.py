"""Figures: asks proxies how two revisions do, for as long as somebody analyses them.

One task per application with a deadline for every proxy. What came last stays known until the next answer, and the
application is woken when it changes; a proxy that does not answer is left out.
"""

from __future__ import annotations

import asyncio

from remora_api import wire
from remora_api.message import Unreadable
from remora_operator.contacts import Counted
from remora_operator.errors import OperatorError
from remora_operator.kinds import Key
from remora_operator.proxy_client import Wake
from remora_operator.signed_http import SignedHttp

PERIOD_S = 5.0
TIMEOUT_S = 3.0


class ProxyFigures:
    """What proxies have counted, by application."""

    def __init__(self, http: SignedHttp, wake: Wake) -> None:
        self._http = http
        self._wake = wake
        self._tasks: dict[Key, tuple[Counted, asyncio.Task[None]]] = {}
        self._told: dict[Key, tuple[wire.ProxyFigures, ...]] = {}

    def of(self, key: Key) -> tuple[wire.ProxyFigures, ...]:
        """Return what was told last."""
        return self._told.get(key, ())

    def follow(self, key: Key, watch: Counted | None) -> None:
        """Ask these proxies again and again, and no others; None stops and forgets."""
        current = self._tasks.get(key)
        if current is not None and current[0] == watch:
            return
        if current is not None:
            current[1].cancel()
            del self._tasks[key]
        if watch is not None:
            self._tasks[key] = (watch, asyncio.create_task(self._ask_again(key, watch)))
        else:
            self._told.pop(key, None)

    def close(self) -> None:
        """End all."""
        for key in list(self._tasks):
            self.follow(key, None)

    async def _ask_again(self, key: Key, watch: Counted) -> None:
        while True:
            answers = await asyncio.gather(*(self._ask(url, watch.key) for url in watch.proxies))
            told = tuple(it for it in answers if it is not None)
            if told != self._told.get(key):
                self._told[key] = told
                self._wake(key)
            await asyncio.sleep(PERIOD_S)

    async def _ask(self, url: str, secret: str) -> wire.ProxyFigures | None:
        try:
            _, body = await self._http.request("GET", url, "/v1/figures", secret, timeout_s=TIMEOUT_S)
            return wire.ProxyFigures.from_json(body)
        except (OperatorError, Unreadable):
            # A proxy that goes, or is of an earlier version, has no say.
            return None
