"""The operator as a whole: waits to lead, lists, then watches and reconciles until it is told to stop.

    Lease ─▶ relist ─▶ kopf (handlers) ─▶ queue ─▶ reconciler: observe ─▶ plan ─▶ apply

Whoever loses the Lease ends: the kubelet starts a fresh process, which has forgotten everything.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

import aiohttp
import kopf

from remora_operator import handlers
from remora_operator.apply import Applier
from remora_operator.controller_client import ControllerLinks
from remora_operator.errors import NotLeading
from remora_operator.figures_client import ProxyFigures
from remora_operator.health import health_server
from remora_operator.installation import Installation
from remora_operator.kinds import Key
from remora_operator.kubernetes_api import KubernetesCluster, configuration
from remora_operator.leader import Leader, LeadershipLost
from remora_operator.lease import LeaseApi
from remora_operator.metrics import Metrics
from remora_operator.observe import Observer
from remora_operator.proxy_client import ProxyPushes
from remora_operator.proxy_watch import ProxyWatches
from remora_operator.queue import Backoff, WorkQueue
from remora_operator.reconciler import Reconciler
from remora_operator.relist import Relist
from remora_operator.settings import Settings
from remora_operator.signed_http import SignedHttp
from remora_operator.store import Store

log = logging.getLogger(__name__)

STOP_S = 10.0
"""For a reconcile that is under way, and for giving the Lease back."""


def now() -> datetime:
    """Return the time; the loop asks, nothing below it does."""
    return datetime.now(UTC)  # noqa: TID251 (the one clock)


async def run(settings: Settings) -> int:
    """Run until SIGTERM or until the Lease is lost; return the exit status."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    cluster = KubernetesCluster(configuration(), concurrency=settings.concurrency + 4)
    leader = Leader(
        LeaseApi(cluster, settings.namespace, settings.lease),
        settings.identity,
        clock=time.monotonic,
        timestamp=lambda: now().isoformat(timespec="microseconds").replace("+00:00", "Z"),
    )
    metrics = Metrics(time.monotonic, leading=leader.is_leading)
    try:
        async with health_server(settings.health_port, metrics):
            await _until(stop, leader.lead(lambda: _work(settings, cluster, leader, metrics, stop)))
            return 0
    except LeadershipLost as error:
        log.error("stopping: %s", error)
        return 1
    finally:
        cluster.close()


async def _work(
    settings: Settings, cluster: KubernetesCluster, leader: Leader, metrics: Metrics, stop: asyncio.Event
) -> None:
    """Reconcile until told to stop; only while leading."""
    queue: WorkQueue[Key] = WorkQueue(concurrency=settings.concurrency, backoff=Backoff(), clock=time.monotonic)
    store = Store()
    # Without a limit: a long poll for each application stays open.
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        http = SignedHttp(session, lambda: now().timestamp())
        links, pushes = ControllerLinks(http, queue.add), ProxyPushes(http, queue.add)
        watches = ProxyWatches(http, queue.add)
        figures = ProxyFigures(http, queue.add)
        observer = Observer(cluster, store, links, pushes, watches, figures)
        reconciler = Reconciler(
            installation=Installation(settings.runtime_image, settings.master_key, settings.namespace),
            queue=queue,
            store=store,
            observer=observer,
            applier=Applier(cluster, store, observer, partial(_check, leader), settings.identity),
            links=links,
            pushes=pushes,
            watches=watches,
            figures=figures,
            metrics=metrics,
            clock=now,
            monotonic=time.monotonic,
        )
        relist = Relist(cluster, store, settings.watched_namespaces, queue.add)
        watcher = handlers.Watcher(store, queue.add, observer.users_of, metrics)
        metrics.queue_depth, metrics.applications = lambda: queue.depth, lambda: len(store.applications())
        try:
            # What is there has to be known before the first decision, or its absence would be one.
            await relist.once()
            for key in store.applications():
                queue.add(key)
            async with asyncio.TaskGroup() as tasks:
                others = [
                    tasks.create_task(queue.run(reconciler.work)),
                    tasks.create_task(relist.forever(settings.resync_s)),
                ]
                await _watch(settings, watcher, stop)
                for task in others:
                    task.cancel()
        finally:
            links.close()
            pushes.close()
            watches.close()
            figures.close()


def _check(leader: Leader) -> None:
    if not leader.is_leading():
        raise NotLeading("the Lease was not renewed in time: nothing is written any more")


async def _watch(settings: Settings, watcher: handlers.Watcher, stop: asyncio.Event) -> None:
    """Watch until told to stop. kopf takes the signals over while it runs, and returns after one."""
    namespaces = settings.watched_namespaces
    await kopf.operator(
        registry=handlers.registry(watcher),
        settings=handlers.settings(),
        standalone=True,
        # Otherwise kopf looks up the user's name, and a container's user has none.
        identity=cast(Any, settings.identity),
        clusterwide=not namespaces,
        namespaces=namespaces,
        stop_flag=stop,
    )


async def _until(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do the work until it ends, or until `stop` is set and it had a while to end."""
    task, stopped = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait([task], timeout=STOP_S)
    finally:
        stopped.cancel()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
