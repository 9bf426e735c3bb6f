"""What `serve.…` does when it is called in a replica: nothing is run from there, and status is the controller's."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from remora import runner
from remora.compat import alias, script
from remora.errors import RemoraError
from remora.http_client import SignedClient
from remora.replica.settings import take_on
from remora.runner import Importing
from remora_api.wire import ApplicationsSnapshot

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from remora.compat.status import ServeStatus

PATIENCE_S = 5


def take_part(
    folder: Path | None, env: Mapping[str, str], working_dir: str, controller_url: str, data_key: str
) -> None:
    """Make this process one of an application's: its code's folder, environment, `ray.serve`, and what `serve` does."""
    take_on(env, working_dir)
    if folder is not None:
        sys.path.insert(0, str(folder))
    alias.install()
    script.install()
    runner.set_runner(ReplicaProgram(controller_url, data_key))


class ReplicaProgram(Importing):
    """Runner of a replica's process."""

    def __init__(self, controller_url: str, data_key: str) -> None:
        super().__init__()
        self._controller_url = controller_url
        self._data_key = data_key

    def status(self) -> ServeStatus:
        """Return what the controller says; raise RemoraError while it recovers, and HttpError when it is away.

        Blocks its thread for the time of one request, and so the loop when it is called there, as in Ray Serve.
        """
        from remora.compat import status

        # A loop of its own: the caller may stand on the process's, which waits.
        with ThreadPoolExecutor(1) as elsewhere:
            found = elsewhere.submit(asyncio.run, self._ask()).result()
        return status.of(found.applications, deployed_at={}, proxies=())

    async def _ask(self) -> ApplicationsSnapshot:
        async with SignedClient(self._controller_url, self._data_key) as client:
            answer = await client.get("/v1/applications", {"timeout_s": PATIENCE_S})
        if answer.status == 204:
            raise RemoraError(f"the controller at {self._controller_url} has no status yet, as it recovers: ask again")
        return ApplicationsSnapshot.from_json(answer.body)
