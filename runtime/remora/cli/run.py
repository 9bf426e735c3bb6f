"""`remora run`: serves an application on this machine, from the manifest of the cluster or an import path."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import signal
import sys
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remora.cli.output import arguments as builder_arguments
from remora.cli.output import say

if TYPE_CHECKING:
    from remora.errors import RemoraError
    from remora.graph.result import BuildResult
    from remora.local.ground import Ground
    from remora.local.instance import LocalInstance
    from remora.local.subject import LocalApplication, Subject


def main(arguments: Sequence[str]) -> int:
    """Serve until Ctrl-C. The exit code is 1 when the application cannot be served."""
    given = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="remora: %(message)s", stream=sys.stderr)
    # Modules of the user's lie where the command is given.
    sys.path.insert(0, "")

    # Until all is imported, which it delays by a tenth.
    gc.disable()
    from remora.errors import RemoraError

    try:
        return asyncio.run(_serve(given))
    except RemoraError as error:
        say(str(error))
        return 1
    finally:
        gc.enable()


async def _serve(given: argparse.Namespace) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    ground = await _ground(given)
    if ground is None:
        return await _serve_on(None, given, stop)
    from remora.errors import RemoraError

    try:
        return await _serve_on(ground, given, stop)
    except RemoraError as error:
        # At once: it takes seconds to end Ray.
        _tell(error)
        return 1
    finally:
        await ground.close()


async def _ground(given: argparse.Namespace) -> Ground | None:
    """Begin with Ray before all else, where what its processes find in their environment is known; else return None."""
    from remora.local import port
    from remora.local.ground import Ground

    if not _has_no_env(given.subject):
        return None
    if given.port is not None or ":" in given.subject:
        port.check(given.host or "127.0.0.1", 8000 if given.port is None else given.port)
    timeout = {} if given.start_timeout is None else {"start_timeout_s": given.start_timeout}
    return await Ground.begin(given.address, imports=True, **timeout)


def _has_no_env(subject: str) -> bool:
    """Return whether it is certain, without reading what is to be served as a whole, that it sets no variables."""
    if not subject.endswith((".yaml", ".yml", ".json")):
        return ":" in subject
    try:
        text = Path(subject).read_text()
    except (OSError, UnicodeDecodeError):
        return False
    # A manifest's `env`, `env_vars` of a config and of code in it. Whoever only speaks of them starts a little later.
    # Tracing is in the environment of all processes, too.
    return "env" not in text and "tracing" not in text and "kind: ServeApplication" in text


async def _serve_on(ground: Ground | None, given: argparse.Namespace, stop: asyncio.Event) -> int:
    from remora.errors import RemoraError
    from remora.local import graph
    from remora.local.instance import LocalInstance, LocalOptions

    subject = _subject(given)
    for warning in subject.warnings:
        say(warning)
    found = subject.applications
    options = LocalOptions(
        host=given.host or subject.host or "127.0.0.1",
        port=(subject.port or 8000) if given.port is None else given.port,
        root_path=subject.root_path,
        keep_alive_s=subject.keep_alive_s,
        tls=subject.tls,
        tracing=subject.tracing,
        ray_address=given.address,
        # From the start where there is one: what an interpreter or a library reads when it is loaded works as well.
        env=found[0].target.env if len(found) == 1 else {},
        grpc_port=_grpc_port(found),
        grpc_reflection=subject.grpc_reflection,
        **({} if given.start_timeout is None else {"start_timeout_s": given.start_timeout}),
    )
    LocalInstance.check(options)

    # The user's code is imported while Ray starts, unless Ray has to set something up for it first.
    builds = [
        None if it.runtime_env else asyncio.create_task(graph.build(it.target, ground, it.logging_config))
        for it in found
    ]
    # They begin now, before this process goes on to import things.
    await asyncio.sleep(0)
    try:
        instance = await LocalInstance.start(options, ground)
        # All that this process imports is there, and stays: no collection needs to look at it.
        gc.freeze()
        gc.enable()
        try:
            await _until_first(stop, _deploy_all(instance, found, builds))
        except RemoraError as error:
            # The reason is the last line: how its replicas end is no news.
            instance.mute()
            # At once: it takes seconds to end Ray.
            _tell(error)
            logging.getLogger("remora").setLevel(logging.WARNING)
            return 1
        finally:
            await instance.close()
    finally:
        begun = [build for build in builds if build is not None]
        for build in begun:
            build.cancel()
        await asyncio.gather(*begun, return_exceptions=True)
    return 0


def _subject(given: argparse.Namespace) -> Subject:
    from remora.local import subject

    if given.route_prefix is None and not given.arg and (plain := subject.plain(given.subject)) is not None:
        return plain
    # Imported where it is needed: an import path alone starts the sooner.
    from remora.local import manifest

    return manifest.read(given.subject, route_prefix=given.route_prefix, args=builder_arguments(given.arg))


def _tell(error: RemoraError) -> None:
    if trace := getattr(error, "trace", ""):
        say(trace)
    say(str(error))


def _grpc_port(found: Sequence[LocalApplication]) -> int | None:
    """Return the port at which the first application that wants gRPC wants it; all share one."""
    return next((application.grpc.port for application in found if application.grpc), None)


async def _deploy_all(
    instance: LocalInstance, found: Sequence[LocalApplication], builds: Sequence[Awaitable[BuildResult] | None]
) -> None:
    for application, build in zip(found, builds, strict=True):
        built = await (build or instance.build(application.target, application.runtime_env, application.logging_config))
        for warning in built.warnings:
            say(warning)
        await instance.deploy(
            application.target,
            application.route_prefix,
            built,
            request_timeout_s=application.request_timeout_s,
            grpc_servicers=tuple(application.grpc.servicer_functions) if application.grpc else (),
        )
        if ignored := instance.ignored(application.target.application):
            say(ignored)
        counts = instance.counts(application.target.application)
        print(_served(application, counts, instance.url), flush=True)  # noqa: T201 - the command line talks to its user
    print("Ctrl-C ends it.", flush=True)  # noqa: T201 - as above
    await instance.until_ended()


def _served(application: LocalApplication, counts: Mapping[str, int], url: str) -> str:
    name = application.target.application
    prefix = application.route_prefix
    where = "to handles only" if prefix is None else f"at {url}{prefix.rstrip('/')}/"
    deployments = ", ".join(f"{d} ×{count}" if count > 1 else d for d, count in counts.items())
    return f"{name} is served {where} ({deployments})"


async def _until_first(stop: asyncio.Event, work: Any) -> None:
    """Do the work until the event; what the work raises is raised."""
    working, stopped = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait([working, stopped], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not working.done():
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
        return
    await working


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="remora run", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("subject", help="app.yaml (a manifest), config.yaml (a Ray Serve config), or module:app")
    parser.add_argument("--host", help="address to listen at (default: the config's, or 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen at (default: the config's, or 8000)")
    parser.add_argument("--route-prefix", help="path below which the application answers, over the manifest's")
    parser.add_argument("--arg", action="append", default=[], metavar="K=V", help="builder argument; may be repeated")
    parser.add_argument(
        "--start-timeout", type=float, metavar="S", help="seconds that a constructor has before it is given up (600)"
    )
    parser.add_argument("--address", default="", help="host:port of a Ray that runs on this machine already")
    return parser
