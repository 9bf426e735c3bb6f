"""The lifespan of a user's ASGI application: its startup before the replica serves, its shutdown after."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from remora.errors import RemoraError
from remora.types import ASGIApp, Message

log = logging.getLogger("remora.serve")


class StartupFailed(RemoraError):
    """The application answered that its startup failed, with a traceback or a reason."""


class Lifespan:
    """Runs an application's lifespan in a task; an application without one is served all the same."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.state: dict[str, Any] = {}
        """What the startup leaves for the requests."""
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._supported = False

    async def startup(self) -> None:
        """Run the startup; raise StartupFailed with the application's reason when it fails."""
        self._task = asyncio.create_task(self._run())
        answer = await self._ask("lifespan.startup")
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            raise StartupFailed(answer.get("message", ""))
        self._supported = answer is not None

    async def shutdown(self) -> None:
        """Run the shutdown; what goes wrong is logged."""
        if self._task is None:
            return
        if self._supported:
            answer = await self._ask("lifespan.shutdown")
            if answer is None or answer["type"] != "lifespan.shutdown.complete":
                log.error("the shutdown of the ASGI application failed: %s", (answer or {}).get("message", ""))
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _ask(self, kind: str) -> Message | None:
        """Send one message and return the answer; None when the application ended without one."""
        assert self._task is not None
        self._messages.put_nowait({"type": kind})
        answer = asyncio.create_task(self._answers.get())
        await asyncio.wait({answer, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done() or not self._answers.empty():
            return await answer
        answer.cancel()
        return None

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._app(scope, self._messages.get, self._answered)
        except Exception as error:  # noqa: BLE001 - by ASGI, raising means that lifespans are not supported
            log.debug("the ASGI application has no lifespan: %s", error)

    async def _answered(self, message: Message) -> None:
        self._answers.put_nowait(message)
