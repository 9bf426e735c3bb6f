"""Runs `graph.build` as a process of its own, so that the one that asks never imports the user's code.

A worker's build task and `remora run` ask alike.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remora import standby
from remora.errors import RemoraError

if TYPE_CHECKING:
    from remora_api.wire_graph import Graph

_TAIL_CHARS = 2000


class NotImported(RemoraError):
    """The build did not come to a result through a fault of the user's code: it hangs, or its process died."""


async def ahead(env: Mapping[str, str]) -> asyncio.subprocess.Process:
    """Start a process that waits for what to import, and ends when it is told nothing."""
    return await _started([standby.WORD], env, None, asyncio.subprocess.PIPE)


async def written(
    import_path: str,
    args: Mapping[str, Any],
    *,
    graph: Graph | None = None,
    logging_config: Mapping[str, Any] | None = None,
    folder: Path | None,
    place: Path,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    waiting: asyncio.subprocess.Process | None = None,
) -> bytes:
    """Import the application, and return what `graph.build` wrote (`result.BuildResult.from_bytes`).

    `folder` holds user code that comes first on `sys.path`; `place` is an empty folder to work in; `env` is the whole
    environment of the process, and `cwd` where it runs; this one's when None. `waiting` is a process of `ahead`, used
    instead of a new one. With a graph the import path is a module. `logging_config` is for deployments that have none.
    Raises NotImported when nothing was written.
    """
    arguments, out = place / "args.json", place / "result"
    arguments.write_text(json.dumps(dict(args)))
    words: list[object] = ["--import-path", import_path, "--args-file", arguments, "--out", out]
    words += ["--code-dir", folder] if folder else []
    if graph is not None:
        described = place / "graph.json"
        described.write_bytes(graph.to_json())
        words += ["--graph-file", described]
    if logging_config:
        words += ["--logging-config", json.dumps(dict(logging_config))]
    process = waiting or await _started(words, env, cwd)
    if waiting is not None and waiting.stdin is not None:
        # At once, before whoever called does something else.
        waiting.stdin.write(standby.message(words))
        waiting.stdin.close()
    try:
        async with asyncio.timeout(timeout_s):
            printed, _ = await process.communicate()
    except TimeoutError:
        raise NotImported(
            f"import path {import_path!r}: not imported within {timeout_s:g} s; "
            "move what waits or loads into a constructor"
        ) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if not out.exists():
        tail = printed[-_TAIL_CHARS:].decode(errors="replace").strip().splitlines()
        raise NotImported(
            f"import path {import_path!r}: the importing process ended with {process.returncode}"
            + (f": {tail[-1]}" if tail else "")
        )
    return out.read_bytes()


async def _started(
    words: Sequence[object], env: Mapping[str, str] | None, cwd: str | None, stdin: int = asyncio.subprocess.DEVNULL
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "remora.graph.build", *(str(word) for word in words)),
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=env,
        cwd=cwd,
        # Ctrl-C is for the process that asked, which ends this one.
        start_new_session=True,
    )
