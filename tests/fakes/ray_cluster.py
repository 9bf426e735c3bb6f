"""A real Ray of two nodes on this machine, with a controller as a process of its own, as in a head and a worker pod.

Ports are free ones instead of the pods' own, and the network is loopback; the rest is what the pods run.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from remora.http_client import Answer, SignedClient, Unreachable
from remora.proxy.server import ProxyServer
from remora_api.target import code_bundle
from remora_api.wire import (
    ApplicationRouting,
    ApplicationStatus,
    ControllerEndpoint,
    ControllerStatus,
    GroupTarget,
    RoutesSnapshot,
    Routing,
    Target,
)
from tests.ports import free_port

T = TypeVar("T")

GROUP = GroupTarget(name="cpu", template="t1")
PATIENCE_S = 60.0
ENDS_S = 3.0
"""For SIGTERM; `ray start --block` waits for a minute for what the same signal has ended already."""
LABELS = "remora.dev/group=cpu,remora.dev/template=t1,remora.dev/pod=w1,remora.dev/cpu-milli=8000"


class RayMachine:
    """Head, worker and controller; `close` ends them all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Ray's sockets have long names, and the system limits their length.
        self._ray_temp = tempfile.mkdtemp(prefix="rr-")
        self._gcs, self.port = free_port(), free_port()
        self.keys = {purpose: secrets.token_hex(32) for purpose in ("ray", "control", "data")}
        for purpose, key in self.keys.items():
            (folder / purpose).write_text(key)
        self._environment = {
            **os.environ,
            "POD_IP": "127.0.0.1",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.keys["ray"],
            "RAY_ADDRESS": "",
            "RAY_enable_worker_prestart": "1",
            "REMORA_RAY_ADDRESS": f"127.0.0.1:{self._gcs}",
            "REMORA_CONTROLLER_PORT": str(self.port),
            "REMORA_STATE_DIR": str(folder / "state"),
            "REMORA_SCRATCH_DIR": str(folder / "scratch"),
            "REMORA_REPLICA_PORTS": "0-0",
            "REMORA_OUTPUT": str(folder / "output"),
            **{f"REMORA_{purpose.upper()}_KEY_FILE": str(folder / purpose) for purpose in self.keys},
        }
        (folder / "output").touch()
        self._processes: list[subprocess.Popen[bytes]] = []
        self.control = SignedClient(f"http://127.0.0.1:{self.port}", self.keys["control"])
        self.data = SignedClient(f"http://127.0.0.1:{self.port}", self.keys["data"])
        self.controller: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start all three; the worker and the controller wait for the head by themselves."""
        common = ["--node-ip-address", "127.0.0.1", "--object-store-memory", "100000000", "--block"]
        head = ["--head", "--port", str(self._gcs), "--num-cpus", "0", "--include-dashboard", "false"]
        self._ray([*head, *common, "--temp-dir", self._ray_temp])
        _until_listening(self._gcs)
        self._ray(["--address", f"127.0.0.1:{self._gcs}", "--num-cpus", "8", "--labels", LABELS, *common])
        self.start_controller()

    def start_controller(self) -> None:
        """Start a controller; a second one takes over what the first left."""
        self.controller = self._run([sys.executable, "-m", "remora", "controller"], "controller")

    async def close(self) -> None:
        """End everything."""
        await self.control.close()
        await self.data.close()
        for process in reversed(self._processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(ENDS_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)

    async def put(self, **values: object) -> None:
        """Set the target of the application `app`."""
        given = {"application": "app", "generation": 1, "import_path": "m:app", "groups": (GROUP,)}
        target = Target.from_plain({**given, **values})
        await self._patiently(lambda: self.control.put("/v1/targets/app", target.to_json()))

    async def until(self, holds: Callable[[ApplicationStatus], bool]) -> ApplicationStatus:
        """Return the application's status as soon as it is so."""
        epoch, version = "", 0
        seen: ApplicationStatus | None = None
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    answer = await self._status({"epoch": epoch, "after": version, "timeout_s": 5})
                    if answer.status == 204:
                        continue
                    status = ControllerStatus.from_json(answer.body)
                    epoch, version = status.epoch, status.version
                    for seen in status.applications:
                        if seen.application == "app" and holds(seen):
                            return seen
        except TimeoutError:
            raise AssertionError(f"last seen: {seen}\n{self.log()}") from None

    async def routes(self) -> RoutesSnapshot:
        """Return the routes."""
        answer = await self._patiently(lambda: self.data.get("/v1/routes", {"timeout_s": 30}, timeout_s=40))
        return RoutesSnapshot.from_json(answer.body)

    def route(self, proxy: ProxyServer, version: int = 1, **values: Any) -> str:
        """Have a proxy send everything to the application; return its controller's URL."""
        url = f"http://127.0.0.1:{self.port}"
        routing = ApplicationRouting(application="app", controllers=(ControllerEndpoint(url=url),), **values)
        proxy.routing.apply(Routing(version=version, applications=(routing,)))
        return url

    def replica_pids(self) -> set[int]:
        """Return the processes of the replicas on this machine's Ray."""
        return self.pids("ray::ReplicaActor")

    def pids(self, beginning: str) -> set[int]:
        """Return the processes on this machine's Ray whose title begins so."""
        found = set()
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                ours = self._environment["REMORA_STATE_DIR"].encode() in path.read_bytes()
                title = (path.parent / "cmdline").read_bytes()
            except OSError:
                continue
            if ours and title.startswith(beginning.encode()):
                found.add(int(path.parent.name))
        return found

    def groups(self) -> dict[str, str]:
        """Return the strategies of the placement groups that there are, by name."""
        program = (
            "import json, ray; from ray.util.placement_group import placement_group_table as table; "
            "ray.init(address='auto', logging_level='ERROR', log_to_driver=False); "
            "print(json.dumps({e['name']: e['strategy'] for e in table().values() if e['state'] != 'REMOVED'}))"
        )
        environment = {**self._environment, "RAY_ADDRESS": f"127.0.0.1:{self._gcs}"}
        said = subprocess.run(
            [sys.executable, "-c", program.replace("'auto'", repr(environment["RAY_ADDRESS"]))],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        found: dict[str, str] = json.loads(said.stdout.splitlines()[-1])
        return found

    def log(self) -> str:
        """Return what the controller said."""
        return (self._folder / "controller.log").read_text()

    async def _status(self, query: Mapping[str, object]) -> Answer:
        return await self._patiently(lambda: self.control.get("/v1/status", query))

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    return await ask()
                except Unreachable:
                    await asyncio.sleep(0.1)

    def _ray(self, words: list[str]) -> None:
        self._run([sys.executable, "-m", "remora.lean_ray", "start", "--disable-usage-stats", *words], "ray")

    def _run(self, command: list[str], name: str) -> subprocess.Popen[bytes]:
        log = (self._folder / f"{name}.log").open("ab")
        process = subprocess.Popen(
            command, env=self._environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        self._processes.append(process)
        return process


def code(text: str) -> dict[str, object]:
    """Return the values of a target whose module `m` has this text; the revision follows from it."""
    bundle = code_bundle({"m.py": text})
    return {"code": bundle.to_plain(), "revision": f"app-{bundle.digest[:8]}"}


def _until_listening(port: int) -> None:
    for _ in range(300):
        with socket.socket() as probe:
            probe.settimeout(0.1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("Ray's head does not listen")
