"""A namespace of a test's own, with the verbs that end-to-end tests are written in.

Everything a test makes lives in its namespace, which goes when the test ends, however it ends.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from tests.cluster import Cluster, waiting
from tests.load.http import Answer

ROOT = Path(__file__).parent.parent.parent
HTTP_PORT = 8000
READ = {
    "sapp": ("apis/remora.dev/v1alpha1", "serveapplications"),
    "pod": ("api/v1", "pods"),
    "pods": ("api/v1", "pods"),
    "services": ("api/v1", "services"),
}
"""Where the API server has what tests look at again and again; all else is asked of kubectl."""


PAUSE_S = 0.3
"""Between two looks at the cluster."""
T = TypeVar("T")
Objects = list[dict[str, Any]]
Texts = list[str]


def eventually(probe: Callable[[], T | Literal[False]], within_s: float, what: str) -> T:
    """Return the first truthy value of `probe`; fails with the last value seen after `within_s` seconds."""
    value = awaited(probe, within_s)
    assert value, f"{what}: not within {within_s:.0f} s; last seen {value!r}"
    return value


def awaited(probe: Callable[[], T], within_s: float) -> T:
    """Return the first truthy value of `probe`, or the last one seen after `within_s` seconds."""
    return waiting.awaited(probe, within_s, pause_s=PAUSE_S)


@dataclass(slots=True)
class Load:
    """A running load generator outside the cluster."""

    process: subprocess.Popen[str]
    report: dict[str, Any] = field(default_factory=dict)

    def stop(self) -> dict[str, Any]:
        """End it, wait for its streams to end, and return its figures."""
        if not self.report:
            self.process.send_signal(signal.SIGTERM)
            output, _ = self.process.communicate(timeout=90)
            self.report = json.loads(output)
        return self.report


@dataclass(frozen=True, slots=True)
class Stage:
    """One namespace of the cluster."""

    cluster: Cluster
    namespace: str

    def kubectl(self, *arguments: str, input: str | None = None, check: bool = True) -> str:
        """Run kubectl in this namespace."""
        return self.cluster.kubectl("-n", self.namespace, *arguments, input=input, check=check)

    def apply(self, *manifests: dict[str, Any]) -> None:
        """Apply manifests as a user does: `kubectl apply -f -`."""
        documents = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        self.kubectl("apply", "-f", "-", input=json.dumps(documents))

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """Return one object, or {} when there is none."""
        if kind in READ:
            return self.cluster.read(f"{self._path(kind)}/{name}") or {}
        text = self.kubectl("get", kind, name, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text.strip() else {}

    def list(self, kind: str, **labels: str) -> list[dict[str, Any]]:
        """Return objects by labels of `remora.dev/`."""
        selector = ",".join(f"remora.dev/{name}={value}" for name, value in labels.items())
        if kind in READ:
            found = self.cluster.read(self._path(kind), labelSelector=selector)
            return list(found["items"]) if found else []
        return list(json.loads(self.kubectl("get", kind, "-l", selector, "-o", "json"))["items"])

    def _path(self, kind: str) -> str:
        group, plural = READ[kind]
        return f"/{group}/namespaces/{self.namespace}/{plural}"

    def pods(self, application: str, component: str) -> Objects:
        """Return an application's pods of one component that are not being deleted."""
        pods = self.list("pods", application=application, component=component)
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def condition(self, application: str, kind: str) -> dict[str, Any]:
        """Return one condition of an application, or {}."""
        status = self.get("sapp", application).get("status", {})
        return next((c for c in status.get("conditions", []) if c["type"] == kind), {})

    def is_current(self, application: str) -> bool:
        """Whether Ready=True was said of the generation that is in the spec now."""
        resource = self.get("sapp", application)
        conditions: Objects = resource.get("status", {}).get("conditions", [])
        ready: dict[str, Any] = next((c for c in conditions if c["type"] == "Ready"), {})
        return (
            ready.get("status") == "True"
            and resource["status"].get("observedGeneration") == resource["metadata"]["generation"]
            and ready.get("observedGeneration", resource["metadata"]["generation"])
            == resource["metadata"]["generation"]
        )

    def wait_ready(self, application: str, within_s: float = 180) -> None:
        """Wait for Ready=True of the current generation; the failure shows the whole status and the pods."""
        try:
            eventually(lambda: self.is_current(application), within_s, f"{application} Ready")
        except AssertionError as error:
            status = json.dumps(self.get("sapp", application).get("status", {}), indent=1)
            pods = self.kubectl("get", "pods", "-o", "wide", check=False)
            raise AssertionError(f"{error}\n{status}\n{pods}") from error

    def address(self, application: str) -> str:
        """Return `IP:PORT` of the application's Service, as the cluster's network knows it."""
        (service,) = self.list("services", application=application, component="proxy")
        return f"{service['spec']['clusterIP']}:{service['spec']['ports'][0]['port']}"

    def ask(
        self,
        application: str,
        path: str = "/",
        method: str = "GET",
        body: str = "",
        timeout_s: float = 30,
        headers: dict[str, str] | None = None,
    ) -> tuple[Answer, str]:
        """Send one request through the Service from outside the cluster; no retry."""
        url = f"http://{self.address(application)}{path}"
        said = self._outside("tests.load.ask", url, method, body, str(timeout_s), json.dumps(headers or {}))
        head, _, text = said.partition("\n")
        status_and_headers = json.loads(head)
        return Answer(status_and_headers["status"], status_and_headers["headers"]), text

    def answer(self, application: str, path: str = "/", body: str = "") -> str:
        """Return the text of a 200 answer."""
        head, text = self.ask(application, path, "POST" if body else "GET", body)
        assert head.status == 200, f"{path}: {head.status} {text}"
        return text

    def answers(self, application: str, many: int, path: str = "/", timeout_s: float = 30) -> Texts:
        """Return the texts of so many 200 answers, each on a connection of its own: in the time that `answer` needs.

        That starts kubectl and Python once for all, which for each would take most of half a second.
        """
        url = f"http://{self.address(application)}{path}"
        return list(json.loads(self._outside("tests.load.answers", url, str(many), str(timeout_s))))

    def _outside(self, program: str, url: str, *arguments: str) -> str:
        """Run one of our programs on the cluster's network, which sends requests there, and return what it prints."""
        done = subprocess.run(
            self.cluster.command(sys.executable, "-m", program, url, *arguments),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, f"{program} {url}: {done.stderr.strip().splitlines()[-1:]}"
        return done.stdout

    @contextmanager
    def load(self, application: str, *options: str, path: str = "/") -> Iterator[Load]:
        """Send load through the Service while the context is entered."""
        with self.load_at(f"http://{self.address(application)}", *options, path=path) as load:
            yield load

    @contextmanager
    def load_at(self, url: str, *options: str, path: str = "/") -> Iterator[Load]:
        """Send load to a URL of the cluster's network while the context is entered; SERVICE in options is the URL."""
        command = [
            sys.executable,
            "-m",
            "tests.load",
            url + path,
            *(option.replace("SERVICE", url) for option in options),
        ]
        process = subprocess.Popen(self.cluster.command(*command), cwd=ROOT, stdout=subprocess.PIPE, text=True)
        load = Load(process)
        try:
            yield load
            load.stop()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def remora(self, *words: str) -> str:
        """Run the `remora` command as a user with this cluster's kubeconfig does."""
        kubectl, flag = self.cluster.kubectl_argv()[:2]
        environment = os.environ | {
            "KUBECONFIG": flag.partition("=")[2],
            "PATH": f"{Path(kubectl).parent}{os.pathsep}{os.environ['PATH']}",
        }
        command = [sys.executable, "-m", "remora", *words, "-n", self.namespace]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"remora {' '.join(words)}: {done.stderr}"
        return done.stdout

    def kill_container(self, pod: dict[str, Any], container: str) -> None:
        """SIGKILL a container's first process from its node, as the kernel's OOM killer would."""
        current = self.get("pod", pod["metadata"]["name"])
        status = next(c for c in current["status"]["containerStatuses"] if c["name"] == container)
        identifier = status["containerID"].rpartition("/")[2]
        pids = [
            int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _is_in(entry, identifier)
        ]
        assert pids, f"container {container} of {pod['metadata']['name']} has no process"
        os.kill(min(pids, key=lambda pid: _started(pid)), signal.SIGKILL)

    def restarts(self, pod_name: str, container: str) -> int:
        """Return how often a container was restarted."""
        statuses = self.get("pod", pod_name).get("status", {}).get("containerStatuses", [])
        return next((int(c["restartCount"]) for c in statuses if c["name"] == container), 0)


def two_on_two_pods(stage: Stage) -> set[str]:
    """Return the two processes that answer once they are spread, as they will not be moved any more; else nothing."""
    processes = set(stage.answers("steady", 20))
    return processes if len(processes) == len({it.partition("/")[0] for it in processes}) == 2 else set()


def _is_in(entry: Path, identifier: str) -> bool:
    try:
        return identifier in (entry / "cgroup").read_text()
    except OSError:  # The process ended while we looked.
        return False


def _started(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
