"""The build of `remora run`: a process of its own, with the application's code, arguments and environment."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from remora.graph import importing
from remora.local import graph
from remora.local.errors import CannotServe
from remora_api.target import code_bundle
from remora_api.wire import Target

CODE = """
import os
from ray import serve

@serve.deployment(max_ongoing_requests=7)
class Greeter:
    def __init__(self, word): self.word = word

def build(args): return Greeter.bind(args["word"] + os.environ["SUFFIX"])
def fail(args): raise ValueError("no weights")
"""


def application(attribute: str, **args: Any) -> Target:
    return Target(
        application="a",
        generation=1,
        revision="a-1",
        import_path=f"mine_for_build:{attribute}",
        args=args,
        code=code_bundle({"mine_for_build.py": CODE}),
        env={"SUFFIX": "!"},
    )


async def test_builds_with_the_applications_code_arguments_and_environment() -> None:
    built = await graph.build(application("build", word="moin"))
    assert [(d.name, d.max_ongoing_requests) for d in built.deployments] == [("Greeter", 7)]
    assert b"moin!" in built.definitions[built.deployments[0].digest]
    assert "mine_for_build" not in sys.modules, "the code is imported elsewhere"


async def test_deployments_without_a_logging_config_get_that_of_the_file() -> None:
    built = await graph.build(application("build", word="moin"), None, {"log_level": "ERROR"})
    (definition,) = built.definitions.values()
    # Read as data: the module of its class is not here.
    assert b"log_level" in definition
    assert b"ERROR" in definition


async def test_what_the_code_raises_comes_with_its_traceback() -> None:
    with pytest.raises(CannotServe, match=r"^import path 'mine_for_build:fail': ValueError: no weights$") as raised:
        await graph.build(application("fail"))
    assert "line 10, in fail" in raised.value.trace


async def test_an_import_that_hangs_is_ended(tmp_path: Path) -> None:
    (tmp_path / "hangs.py").write_text("import threading; threading.Event().wait()")
    with pytest.raises(importing.NotImported, match=r"'hangs:app': not imported within 0\.3 s; move what waits"):
        await importing.written("hangs:app", {}, folder=tmp_path, place=tmp_path, timeout_s=0.3)


async def test_a_process_that_ends_early_is_said_with_its_last_line(tmp_path: Path) -> None:
    (tmp_path / "exits.py").write_text("import os; print('out of luck', flush=True); os._exit(3)")
    with pytest.raises(importing.NotImported, match="the importing process ended with 3: out of luck"):
        await importing.written("exits:app", {}, folder=tmp_path, place=tmp_path, timeout_s=30)


async def test_a_thread_of_the_code_keeps_nobody_waiting_and_what_it_registered_for_the_end_is_done(
    tmp_path: Path,
) -> None:
    told = tmp_path / "told"
    (tmp_path / "goes_on.py").write_text(
        "import atexit, pathlib, threading\n"
        f"atexit.register(lambda: pathlib.Path({str(told)!r}).write_text('bye'))\n"
        "threading.Thread(target=threading.Event().wait).start()\n"
        "from ray import serve\n"
        "@serve.deployment\n"
        "class A: pass\n"
        "app = A.bind()\n"
    )
    assert await importing.written("goes_on:app", {}, folder=tmp_path, place=tmp_path, timeout_s=60)
    assert told.read_text() == "bye"
