"""From the command to the first answer, with Ray up: less what a process takes that only attaches to Ray."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.bench import Bench, Recorder
from benchmarks.goals import Figure, Goal, Side
from benchmarks.samples import turns
from benchmarks.sides import ROOT, Host, SideFailed, answers, environment, free_port

FIGURES = (
    Figure("first_answer", "the command → first 200, Ray up, less attaching", "s", (Goal("at most", 1),), 2),
    Figure("first_attach", "attaching to Ray alone", "s", (), 2),
)
SETTLE_S = 6.0
ATTACH = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False); print('up', flush=True)"
START = (
    "import ray; print(ray.init(include_dashboard=False, num_cpus=64, object_store_memory=200_000_000,"
    " log_to_driver=False).address_info['gcs_address'], flush=True); input()"
)


def measure(bench: Bench) -> Recorder:
    """Give each start a Ray of its own, that is up and at rest: the command, less what it takes to attach to that Ray.

    A Ray has a few workers waiting when it is up, and starts no others for those that are taken: on one that has been
    attached to again and again a start takes as much longer as a worker of Ray's does, 0.6 s.
    """
    recorder = Recorder()
    sides = [it for it in bench.hosts if it in (Side.REMORA, Side.DEFAULT)]
    for side in turns(sides, bench.rounds):
        if side in recorder.failures:
            continue
        try:
            recorder.add(side, _start(side, bench.hosts[side]))
        except (SideFailed, IndexError) as error:
            recorder.failures[side] = str(error)
    return recorder


def _start(side: Side, host: Host) -> dict[str, float]:
    with host.scratch() as (scratch, mark):
        # A Ray that one starts asks for a token, which those who attach would have to find.
        env = environment(scratch, mark, {"RAY_AUTH_MODE": "disabled"})
        keeper = _popen([host.python, "-c", START], env, scratch)
        assert keeper.stdout is not None
        try:
            address = keeper.stdout.readline().strip().splitlines()[-1]
            # What is measured begins when Ray's own processes have come to rest.
            time.sleep(SETTLE_S)
            attach_s = _attach(host.python, address, env, scratch)
            command_s = _command(side, host.python, address, env, scratch)
            return {"first_answer": command_s - attach_s, "first_attach": attach_s}
        finally:
            keeper.kill()
            keeper.wait()


def _attach(python: Path, address: str, env: dict[str, str], scratch: Path) -> float:
    began = time.monotonic()
    process = _popen([python, "-c", ATTACH, address], env, scratch)
    assert process.stdout is not None
    said = process.stdout.readline()
    seconds = time.monotonic() - began
    process.wait(30)
    if said.strip() != "up":
        raise SideFailed(f"nothing can attach to Ray at {address}")
    return seconds


def _command(side: Side, python: Path, address: str, env: dict[str, str], scratch: Path) -> float:
    port = free_port()
    began = time.monotonic()
    if side is Side.REMORA:
        words = ["-m", "remora", "run", "benchmarks.programs.noop:app", "--address", address, "--port", str(port)]
    else:
        words = ["-m", "ray.serve.scripts", "run", "benchmarks.programs.noop:app", "--address", address]
        port = 8000
    process = _popen([python, *words], env, scratch)
    try:
        answers(f"http://127.0.0.1:{port}/", 60)
        return time.monotonic() - began
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _popen(argv: list[object], env: dict[str, str], scratch: Path) -> subprocess.Popen[str]:
    with (scratch / "stderr.txt").open("ab") as errors:
        return subprocess.Popen(
            [str(word) for word in argv],
            cwd=ROOT,
            env={**env, "RAY_DISABLE_IMPORT_WARNING": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )


if __name__ == "__main__":
    sys.exit("run `make bench ROWS=first_answer`")
