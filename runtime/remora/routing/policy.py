"""Policy: asks a user's request router where a call goes, for one deployment in one process.

A `router.pool.Chooser`. The router's class is the replicas' own: the first call fetches it from one of them.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import logging
from typing import TYPE_CHECKING, Any

from remora.errors import MisuseError, RemoraError
from remora.handle import payload
from remora.handle.identity import DeploymentID, ReplicaID
from remora.router import calls
from remora.routing.config import METHOD, RequestRouterConfig
from remora.routing.replica import RunningReplica
from remora.routing.request import PendingRequest, RequestMetadata
from remora.routing.request_router import RequestRouter
from remora.types import CallMetadata, Payload

if TYPE_CHECKING:
    from remora.router.link import Link
    from remora.router.pool import Pool

log = logging.getLogger("remora.serve")


class Policy:
    """Belongs to the loop of its pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._loading: asyncio.Task[RequestRouter] | None = None
        self._config = RequestRouterConfig()
        self._numbers = itertools.count(1)
        self._known: dict[str, RunningReplica] = {}

    async def acquire(self, metadata: CallMetadata, arguments: Payload) -> tuple[Link, Any]:
        """Reserve a place where the router wants it; returns it with what `completed` needs.

        Raises what the router's code raises, BackPressureError when too many wait already.
        """
        router = await self._router()
        args, kwargs = payload.loads_call(arguments)
        about = RequestMetadata.of(metadata, next(self._numbers), self._pool.application)
        pending = PendingRequest(list(args), kwargs, about, asyncio.get_running_loop().time())
        limit = self._pool.max_queued
        backoff_s = self._config.initial_backoff_s
        router._num_pending += 1
        try:
            while True:
                link = await self._chosen(router, pending)
                if link is not None:
                    router.on_request_routed(pending, self._known[link.name].replica_id, None)
                    return link, about
                if 0 <= limit < router._num_pending:
                    raise self._pool.refusal(router._num_pending - 1)
                await asyncio.sleep(backoff_s)
                backoff_s = min(self._config.max_backoff_s, backoff_s * self._config.backoff_multiplier)
        finally:
            router._num_pending -= 1

    def completed(self, link: Link, about: RequestMetadata) -> None:
        """A call is over."""
        if self._loading is not None and self._loading.done() and not self._loading.exception():
            replica = ReplicaID.of(link.name, self._pool.application, self._pool.deployment)
            self._loading.result().on_request_completed(replica, about.internal_request_id)

    async def _chosen(self, router: RequestRouter, pending: PendingRequest) -> Link | None:
        await self._pool.until_ready()
        self._refresh(router)
        ranks = await router.choose_replicas(list(self._known.values()), pending)
        for rank in ranks or []:
            roomy = [replica.link for replica in rank if replica.link.takes_requests and replica.link.has_room]
            if roomy:
                link = min(roomy, key=lambda link: link.load)
                link.reserve()
                return link
        return None

    def _refresh(self, router: RequestRouter) -> None:
        """Tell the router when there are other replicas than before."""
        links = {link.name: link for link in self._pool.links if link.takes_requests}
        if {name: replica.link for name, replica in self._known.items()} == links:
            return
        where = self._pool.application, self._pool.deployment
        self._known = {name: RunningReplica(link, ReplicaID.of(name, *where)) for name, link in links.items()}
        router.update_replicas(list(self._known.values()))

    async def _router(self) -> RequestRouter:
        if self._loading is None or (self._loading.done() and self._loading.exception() is not None):
            self._loading = asyncio.create_task(self._load())
        return await asyncio.shield(self._loading)

    async def _load(self) -> RequestRouter:
        place = await calls.reserve(self._pool, CallMetadata(method=METHOD))
        answer = await place.call(CallMetadata(method=METHOD), payload.dumps_call((), {}))
        try:
            self._config = payload.loads(answer)
            found = _class(self._config.request_router_class)
            router = found(DeploymentID(self._pool.deployment, self._pool.application))
            router.initialize_state(**self._config.request_router_kwargs)
        except Exception as error:
            raise MisuseError(
                f"the request router of deployment {self._pool.deployment!r} cannot be made in this process: "
                f"{type(error).__name__}: {error}"
            ) from error
        if not isinstance(router, RequestRouter):
            raise RemoraError(f"{found!r} is no RequestRouter: derive it from ray.serve.request_router.RequestRouter")
        return router


def _class(named: Any) -> Any:
    """Return the class that an import path names: ``module:Class`` or ``module.Class``."""
    if not isinstance(named, str):
        return named
    module, _, name = named.replace(":", ".").rpartition(".")
    return getattr(importlib.import_module(module), name)
