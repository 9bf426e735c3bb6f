"""What `serve.…` does when it is called in a replica: nothing is run from there, and status is the controller's."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from remora.errors import RemoraError
from remora.http_client import SignedClient
from remora.runner import Importing
from remora_api.wire import ApplicationsSnapshot

if TYPE_CHECKING:
    from remora.compat.status import ServeStatus

PATIENCE_S = 5


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
        return ApplicationsSnapshot.model_validate_json(answer.body)
