"""Controllers: one link to each, that hands it its target and long-polls its status.

Each link is two tasks with their own deadlines, so a head that swallows packets holds up nobody: a reconcile only says
what the target is and reads what the link knows. Whenever that changes, the link wakes the application.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from remora_api import wire
from remora_api.message import Unreadable
from remora_operator.contacts import Link
from remora_operator.errors import OperatorError, Transient
from remora_operator.kinds import Key
from remora_operator.observed import ControllerView
from remora_operator.signed_http import SignedHttp

log = logging.getLogger(__name__)

POLL_S = 30.0
"""How long a controller may keep a poll that has no news. One that knows nothing at all by then is as good as gone."""
PUT_S = 10.0
SOONEST_S, LATEST_S = 0.2, 10.0


def retry_s(waited_s: float) -> float:
    """Return the pause before the next attempt, from how long none has succeeded.

    It adds a fifth at most to the time in which a new one comes up, for which all of its application waits.
    """
    return min(max(SOONEST_S, waited_s / 5), LATEST_S)


@dataclass(frozen=True, slots=True)
class Leave:
    """What a controller is told instead of a target: drain all that there is of the application."""

    application: str


class ControllerLinks:
    """All links, by application and Ray cluster."""

    def __init__(self, http: SignedHttp, wake: Callable[[Key], None], *, poll_s: float = POLL_S) -> None:
        self._http = http
        self._wake = wake
        self._poll_s = poll_s
        self._links: dict[Key, dict[int, _Link]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._links.values()))

    def views(self, key: Key) -> Mapping[int, ControllerView]:
        """Return what is known of an application's controllers."""
        return {number: link.view for number, link in self._links.get(key, {}).items()}

    def follow(self, key: Key, wanted: tuple[Link, ...]) -> None:
        """Keep exactly these links, each with its target."""
        links = self._links.setdefault(key, {})
        for number in set(links) - {it.incarnation for it in wanted}:
            links.pop(number).close()
        for it in wanted:
            if it.incarnation not in links:
                links[it.incarnation] = _Link(key, it, self._http, self._wake, self._poll_s)
            links[it.incarnation].aim(it.target, leaves=it.leaves)
        if not links:
            del self._links[key]

    def close(self) -> None:
        """End all links."""
        for key in list(self._links):
            self.follow(key, ())


class _Attempts:
    """Requests of one kind to a controller that may not be there, and the pauses between those that fail."""

    def __init__(self) -> None:
        self._failing_since: float | None = None

    def succeeded(self) -> None:
        self._failing_since = None

    async def failed(self) -> None:
        now = asyncio.get_running_loop().time()
        self._failing_since = now if self._failing_since is None else self._failing_since
        await asyncio.sleep(retry_s(now - self._failing_since))


class _Link:
    """The way to one controller."""

    def __init__(self, key: Key, link: Link, http: SignedHttp, wake: Callable[[Key], None], poll_s: float) -> None:
        self.view = ControllerView()
        self._key = key
        self._url = link.url
        self._secret = link.key
        self._http = http
        self._wake = wake
        self._poll_s = poll_s
        self._target: wire.Target | Leave | None = None
        self._epoch = ""
        self._taken: tuple[str, wire.Target | Leave | None] = ("", None)
        self._aimed = asyncio.Event()
        self._tasks = [asyncio.create_task(self._poll()), asyncio.create_task(self._put())]

    def aim(self, target: wire.Target | None, *, leaves: bool) -> None:
        """Have the controller reach this; None leaves it with what it has, unless the application `leaves` it."""
        wanted = Leave(self._key.name) if leaves else target
        if wanted is not None and wanted != self._target:
            self._target = wanted
            self._aimed.set()

    def close(self) -> None:
        """Stop both tasks."""
        for task in self._tasks:
            task.cancel()

    async def _poll(self) -> None:
        attempts = _Attempts()
        while True:
            try:
                await self._poll_once()
                attempts.succeeded()
            except (OperatorError, Unreadable) as error:
                self._learn(ControllerView(False, self.view.status, str(error)[:300]))
                await attempts.failed()

    async def _poll_once(self) -> None:
        after = self.view.status.version if self.view.status and self.view.is_reachable else 0
        query = f"/v1/status?epoch={self._epoch}&after={after}&timeout_s={self._poll_s:g}"
        status, body = await self._http.request("GET", self._url, query, self._secret, timeout_s=self._poll_s + PUT_S)
        if status == 204:
            if not after:
                raise Transient(f"{self._url} answers, but has had no status for {self._poll_s:g} s: it waits for Ray")
            return
        said = wire.ControllerStatus.from_json(body)
        if said.epoch != self._epoch:
            self._epoch = said.epoch
            # It started anew: what it was told may be lost.
            self._aimed.set()
        self._learn(ControllerView(True, said))

    def _learn(self, view: ControllerView) -> None:
        if view != self.view:
            self.view = view
            self._wake(self._key)

    async def _put(self) -> None:
        attempts = _Attempts()
        while True:
            await self._aimed.wait()
            self._aimed.clear()
            target = self._target
            if target is None or self._taken == (self._epoch, target):
                continue
            epoch = self._epoch
            verb, body = ("DELETE", b"") if isinstance(target, Leave) else ("PUT", target.to_json())
            path = f"/v1/targets/{target.application}"
            try:
                await self._http.request(verb, self._url, path, self._secret, body=body, timeout_s=PUT_S)
            except OperatorError as error:
                if self.view.is_reachable:
                    extra = {"namespace": self._key.namespace, "app": self._key.name, "error": str(error)}
                    log.warning("the controller did not take the target", extra=extra)
                await attempts.failed()
                self._aimed.set()
            else:
                attempts.succeeded()
                self._taken = (epoch, target)
