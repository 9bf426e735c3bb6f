"""Processes that wait to be told what to do: a proxy, and the import of an application."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from remora import standby
from remora.graph import importing
from remora.graph.result import BuildResult
from remora.local import settings
from remora.local.proxy_process import ProxyProcess

MODULE = """
import os, sys

from remora import serve


@serve.deployment
class Told:
    def __init__(self, *given: object) -> None: ...


app = Told.bind(sys.stdin.read(), os.environ.get("PYTHONPATH"))
"""


async def test_an_application_is_imported_by_a_process_that_waits_as_by_one_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "told.py").write_text(MODULE)
    results = []
    for number, waiting in enumerate((await importing.ahead(settings.of_import({})), None)):
        place = tmp_path / str(number)
        place.mkdir()
        written = await importing.written(
            "told:app",
            {},
            folder=tmp_path,
            place=place,
            timeout_s=60,
            env=settings.of_import({}),
            waiting=waiting,
        )
        results.append(BuildResult.from_bytes(written))
    assert results[0] == results[1]
    assert isinstance(results[0], BuildResult), results[0]
    assert [it.name for it in results[0].deployments] == ["Told"]


async def test_who_is_told_nothing_ends_as_when_the_one_that_should_tell_is_killed(tmp_path: Path) -> None:
    importer, proxy = await importing.ahead(dict(os.environ)), await ProxyProcess.begin(tmp_path)
    for process in (importer, proxy.process):
        assert process.stdin is not None
        # What the kernel does with the pipes of a process that dies.
        process.stdin.close()
    async with asyncio.timeout(60):
        assert [await importer.wait(), await proxy.process.wait()] == [0, 0]
    assert proxy.log.read_text() == ""
    await proxy.kill()


def test_who_has_its_stdin_for_a_lifeline_ends_with_it() -> None:
    told = "print(standby.wait(dies_with_stdin=True), flush=True)"
    code = f"import signal; from remora import standby; {told}; signal.pause()"
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(standby.message(["--port", 1]))
        process.stdin.flush()
        assert process.stdout.readline() == b"['--port', '1']\n"
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(timeout=60) == -signal.SIGTERM
