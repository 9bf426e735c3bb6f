"""Local mode as a place for the demo: the same manifest, on this machine, without Kubernetes."""

from __future__ import annotations

import subprocess
import sys
from threading import Event

from demo.access import CommandFailed
from demo.screen import say, step
from demo.story import HELLO, ask


def tell() -> None:
    """Run examples/hello with `remora run`, ask it once, print the answer; raises CommandFailed."""
    with subprocess.Popen(
        [sys.executable, "-m", "remora", "run", str(HELLO), "--port", "8000"], stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            with step(f"remora run {HELLO.relative_to(HELLO.parent.parent.parent)}"):
                _wait_for_answer(running)
            say(f"\n{ask('http://127.0.0.1:8000')}\n")
        finally:
            running.terminate()
            running.wait(timeout=30)
    say("What to try next:\n  remora run examples/hello/serveapplication.yaml\n  make demo CONTEXT=…")


def _wait_for_answer(running: subprocess.Popen[str]) -> None:
    pause = Event()
    last: CommandFailed | OSError | None = None
    for _ in range(240):
        if running.poll() is not None:
            raise CommandFailed(f"remora run ended with {running.returncode}")
        try:
            ask("http://127.0.0.1:8000")
        except (CommandFailed, OSError) as error:
            last = error
            pause.wait(0.25)
        else:
            return
    raise CommandFailed(f"no answer within 60 s: {last}")
