"""``make bench-quick``: the README's figures, in under three minutes, on this machine. Prints, asserts nothing.

1. The no-op through proxy and replica beside bare uvicorn (`benchmarks.dataplane`).
2. From `remora run examples/hello/serveapplication.yaml` to the first 200, beside `ray.init` alone.
3. From `kubectl apply -f examples/hello` to the first 200 through the Service, where the test cluster is up with the
   operator installed (`make demo` leaves it so).
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

ROOT = Path(__file__).parent.parent
HELLO = ROOT / "examples" / "hello" / "serveapplication.yaml"
QUESTION = b'{"data": "hello world"}'
PORT = 8123


class NoAnswer(Exception):
    """Nothing answered with 200 in time."""


def seconds_until(answers: Callable[[], bool], limit_s: float, began: float) -> float:
    """Return the seconds since `began` at which `answers` first held; raises NoAnswer."""
    pause = Event()
    while not answers():
        if time.monotonic() - began > limit_s:
            raise NoAnswer(f"no 200 within {limit_s:.0f} s")
        pause.wait(0.05)
    return time.monotonic() - began


def post(url: str) -> bool:
    """Whether one POST of the demo's question is answered with 200."""
    request = urllib.request.Request(url, QUESTION, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def local_mode() -> float:
    """Return seconds from `remora run` to the first 200."""
    began = time.monotonic()
    argv = [sys.executable, "-m", "remora", "run", str(HELLO), "--port", str(PORT)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            return seconds_until(lambda: post(f"http://127.0.0.1:{PORT}/"), 90, began)
        finally:
            running.terminate()
            running.wait(timeout=60)


def ray_init() -> float:
    """Return the seconds from the start of a process to the return of its `ray.init`, which is all that it does."""
    began = time.monotonic()
    code = "import ray; ray.init(include_dashboard=False, log_to_driver=False); print('up', flush=True)"
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        assert running.stdout is not None
        running.stdout.readline()
        return time.monotonic() - began


def on_the_cluster() -> float | None:
    """Return seconds from apply to the first 200 through the Service, or None without a running test cluster."""
    from tests.cluster import running

    cluster = running()
    if cluster.missing() or not cluster.is_up() or "remora" not in cluster.helm("list", "-n", "remora-system", "-q"):
        return None
    namespace = f"bench-{uuid.uuid4().hex[:6]}"
    cluster.kubectl("create", "namespace", namespace)
    try:
        began = time.monotonic()
        cluster.kubectl("apply", "-n", namespace, "-f", str(HELLO))
        selector = "remora.dev/application=hello,remora.dev/component=proxy"

        def address() -> str:
            items = json.loads(cluster.kubectl("get", "svc", "-n", namespace, "-l", selector, "-o", "json"))["items"]
            return f"http://{items[0]['spec']['clusterIP']}:{items[0]['spec']['ports'][0]['port']}/" if items else ""

        seconds_until(lambda: bool(address()), 60, began)
        url = address()
        ask = cluster.command(sys.executable, "-m", "tests.load.ask", url, "POST", QUESTION.decode(), "5")

        def answers() -> bool:
            done = subprocess.run(ask, cwd=ROOT, capture_output=True, text=True, check=False)
            return done.returncode == 0 and '"status": 200' in done.stdout.partition("\n")[0]

        return seconds_until(answers, 180, began)
    finally:
        cluster.kubectl("delete", "namespace", namespace, "--wait=true", "--timeout=120s")


def main() -> None:
    """Measure and print."""
    cores = subprocess.run(["nproc"], capture_output=True, text=True, check=True).stdout.strip()
    machine = f"{cores} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine}", flush=True)
    subprocess.run([sys.executable, "-m", "benchmarks.dataplane", "--seconds", "5"], cwd=ROOT, check=False)
    alone, local = ray_init(), local_mode()
    print(
        f"remora run → first 200: {local:.1f} s; a process that only calls ray.init: {alone:.1f} s;"
        f" the difference: {local - alone:.1f} s"
    )
    cluster = on_the_cluster()
    print(
        "kubectl apply → first 200: "
        + (f"{cluster:.1f} s, images present" if cluster else "not measured: run `make demo` first")
    )


if __name__ == "__main__":
    main()
