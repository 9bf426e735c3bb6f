"""``make test``: the checks, then every test, in one command; ends with pytest's own counts.

On a machine that cannot host the cluster its tests are skipped, with the reason on screen and counted;
``REMORA_REQUIRE_CLUSTER=1`` turns such a skip into a failure.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from tests.cluster import running

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent

CHECKS: tuple[tuple[str, ...], ...] = (
    ("ruff", "format", "--check", "--quiet", "."),
    ("ruff", "check", "--quiet", "."),
    ("mypy",),
    ("lint-imports",),
    ("python", "-m", "remora_api", "generate", "--check"),
    ("python", "-m", "tests.compatibility", "--check"),
)


def run(argv: Sequence[str]) -> int:
    """Run one command of the environment, say how long it took, return its exit status."""
    began = time.monotonic()
    print(f"── {' '.join(argv)}", flush=True)
    status = subprocess.run([str(BIN / argv[0]), *argv[1:]], cwd=ROOT, check=False).returncode
    print(
        f"── {argv[0]}: {'ok' if status == 0 else f'failed with {status}'} in {time.monotonic() - began:.1f} s",
        flush=True,
    )
    return status


class Lane:
    """One pytest of those that run side by side, and what it says, a line at a time with its name before it."""

    def __init__(self, name: str, *argv: str) -> None:
        self.name = name
        self.last = ""
        """What pytest said at its end: its count."""
        self.failed: list[str] = []
        """What it said of tests that did not pass, a line each."""
        command = [str(BIN / "pytest"), "-q", "--durations=15", *argv]
        # Into a pipe Python would say nothing until it ends, or 8 KiB have come together.
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        print(f"── {name}: pytest {' '.join(command[1:])}", flush=True)
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.last = line.strip() or self.last
            if line.startswith(("FAILED ", "ERROR ")):
                self.failed.append(line.strip())
            print(f"{self.name:>7} │ {line}", end="", flush=True)

    def status(self) -> int:
        """Wait for its end; return its exit status."""
        status = self._process.wait()
        self._reader.join()
        return status


BESIDE = tuple(
    f"tests/e2e/test_{it}.py"
    for it in (
        "decisions",
        "grpc",
        "guides",
        "placement_groups_on_pods",
        "replicas_on_pods",
        "rollouts",
        "seeds",
        "tls",
        "tracing",
        "traffic",
    )
)
"""Tests of the cluster that run beside the others there, about a third of their time; none is marked `alone`."""


def lanes(session: str) -> bool:
    """Run all tests in two lanes, as each waits most of its time; return if all passed.

    One begins with the tests that have to have the cluster alone and goes on with others there. The other begins with
    all tests that need no cluster, and takes a part of those that do when it is through with them::

        alone │ cluster ...
        others ..... │ beside
    """
    began = time.monotonic()
    with _claimed():
        shared = f"--session={session}"
        alone = Lane("alone", "tests/e2e", "-m", "alone", shared)
        others = Lane("others", "tests", "--ignore=tests/e2e")
        alone.status()
        cluster = Lane("cluster", "tests/e2e", "-m", "not alone", *(f"--ignore={it}" for it in BESIDE), shared)
        others.status()
        beside = Lane("beside", *BESIDE, shared)
        all_lanes = (alone, others, cluster, beside)
        passed = [lane.status() == 0 for lane in all_lanes]
    for lane in all_lanes:
        # Said again: between them and here are the lines of lanes that took longer.
        for line in lane.failed:
            print(f"── {lane.name}: {line}", flush=True)
        print(f"── {lane.name}: {lane.last}", flush=True)
    print(f"── tests: {'ok' if all(passed) else 'failed'} in {time.monotonic() - began:.1f} s", flush=True)
    return all(passed)


def _claimed() -> AbstractContextManager[None]:
    """Have the cluster for these lanes, where this machine can host one."""
    cluster = running()
    return nullcontext() if cluster.missing() else cluster.claimed()


def main() -> int:
    """Run the checks and the tests, or those that are named; the first failing check does not hide the tests."""
    failed = [argv[0] for argv in CHECKS if run(argv)]
    named = sys.argv[1:]
    passed = run(("pytest", "-q", "--durations=15", *named)) == 0 if named else lanes(uuid.uuid4().hex[:8])
    if failed:
        print(f"failed checks: {', '.join(failed)}", flush=True)
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    raise SystemExit(main())
