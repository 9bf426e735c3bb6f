"""`python -m remora head`: PID 1 of the Ray container in the head pod.

A fresh head with empty tables at the address of an old one makes every worker end within seconds, replicas and all.
So a head whose tables are gone although its incarnation was born does not start: the operator builds a new cluster
beside the old workers, which serve meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from remora import structured_log
from remora.node import commands
from remora.node.init import Program
from remora.node.settings import HeadSettings, environment_with
from remora.reach import until_reachable
from remora_api.meta import Port

log = logging.getLogger("remora.node")

EXIT_LOST_STORE = 64
TERMINATION_LOG = Path("/dev/termination-log")


def main(arguments: Sequence[str]) -> int:
    """Run the head until it ends; 64 when its tables are lost."""
    argparse.ArgumentParser(prog="remora head", description=(__doc__ or "").partition("\n")[0]).parse_args(arguments)
    structured_log.configure()
    settings = HeadSettings.read()
    lost = lost_store(settings)
    if lost:
        log.error(lost)
        _leave_word(lost)
        return EXIT_LOST_STORE
    settings.store.mkdir(parents=True, exist_ok=True)
    return asyncio.run(_run(settings))


def lost_store(settings: HeadSettings) -> str:
    """Return why the head must not start; empty when it may."""
    if any(settings.store.glob("*")) or not _is_born(settings.born_file):
        return ""
    return (
        f"LostStore: {settings.store} is empty although incarnation {settings.incarnation} of this Ray cluster was "
        "born; it is not started anew, as that would end its workers: a new incarnation has to take its place"
    )


async def _run(settings: HeadSettings) -> int:
    program = Program()
    return await program.run(
        commands.head(settings),
        environment_with(commands.head_environment(settings)),
        health_port=Port.WORKER_HEALTH,
        ready=lambda: until_reachable(settings.ip, Port.GCS),
        at_sigterm=_nothing,
    )


async def _nothing() -> None:
    """No replica is here to be told."""


def _is_born(mark: Path) -> bool:
    try:
        return bool(mark.read_text().strip())
    except OSError:
        return False


def _leave_word(message: str) -> None:
    """Say it where `kubectl describe pod` shows it."""
    try:
        TERMINATION_LOG.write_text(message)
    except OSError as error:
        log.warning("the termination message cannot be written: %s", error)
