"""Second step of the demo: install, apply, wait, call, show. The same on every cluster."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path

from demo import release
from demo.access import Access, CommandFailed
from demo.screen import say, step, wait_until

ROOT = Path(__file__).parent.parent
SYSTEM = "remora-system"
NAMESPACE = "remora-demo"
CRD = "serveapplications.remora.dev"
HELLO = ROOT / "examples" / "hello" / "serveapplication.yaml"
QUESTION = {"data": "hello world"}


def tell(access: Access) -> str:
    """Run the whole demo; return the application's answer."""
    install(access)
    with step("application: kubectl apply -f examples/hello"):
        _namespace(access)
        access.kubectl("apply", "-n", NAMESPACE, "-f", str(HELLO))
        wait_until(
            lambda: _condition(access, "Ready").startswith("True"),
            lambda: f"Ready={_condition(access, 'Ready')}",
            limit_s=300,
        )
    with step(f"request: POST {json.dumps(QUESTION)} through the Service, from outside the cluster"):
        service = access.kubectl(
            "get", "service", "-n", NAMESPACE, "-l", "remora.dev/application=hello,remora.dev/component=proxy",
            "-o", "jsonpath={.items[0].metadata.name}",
        )  # fmt: skip
        port = access.kubectl("get", "service", "-n", NAMESPACE, service, "-o", "jsonpath={.spec.ports[0].port}")
        with access.outside(NAMESPACE, service, int(port)) as url:
            answer = ask(url)
    say(f"\n{answer}\n")
    say(access.kubectl("get", "sapp", "-n", NAMESPACE))
    say(_what_next(access.kubectl_hint, access.place_hint))
    return answer


def install(access: Access) -> None:
    """Bring the images to the nodes and install the operator, or upgrade it to this checkout."""
    with step("images: building what changed, loading it into the nodes"):
        values = access.images()
    with step(f"operator: helm upgrade --install remora charts/remora --namespace {SYSTEM}"):
        for pending in release.unlock(access, SYSTEM):
            say(f"  {pending}: that Helm has been killed; its record is taken away")
        access.helm(
            "upgrade", "--install", release.NAME, str(ROOT / "charts" / "remora"),
            "--namespace", SYSTEM, "--create-namespace", "--wait", "--timeout", "180s", *release.settings(values),
        )  # fmt: skip


def ask(url: str) -> str:
    """Return the application's answer to the demo's question, or the server's reason."""
    request = urllib.request.Request(
        url + "/", json.dumps(QUESTION).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return str(response.read().decode())
    except urllib.error.HTTPError as error:
        raise CommandFailed(f"POST {url} answered {error.code}: {error.read().decode()[:500]}") from error


def remove(access: Access) -> None:
    """Remove what `tell` made: the application, its namespace, the operator and the CRD, in this order."""
    with step(f"application: deleting it and namespace {NAMESPACE}; its pods first finish what they have"):
        remove_application(access)
    with step("operator: helm uninstall remora, its namespace and the CRD"):
        if release.exists(access, SYSTEM):
            access.helm("uninstall", release.NAME, "--namespace", SYSTEM, "--wait")
        access.kubectl("delete", "namespace", SYSTEM, "--ignore-not-found", "--wait=true")
        access.kubectl("delete", "crd", CRD, "--ignore-not-found", "--wait=true")


def remove_application(access: Access) -> None:
    """Remove the application and its namespace, and wait until both are gone."""
    if access.kubectl("get", "crd", CRD, "--ignore-not-found", "-o", "name"):
        # The namespace alone would do, but an API server that finds pods in it looks again after half of their
        # longest grace period only: most of a minute.
        access.kubectl("delete", "sapp", "--all", "-n", NAMESPACE, "--cascade=foreground", "--wait=true")
    access.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=true")


def _namespace(access: Access) -> None:
    try:
        access.kubectl("create", "namespace", NAMESPACE)
    except CommandFailed as error:
        if "AlreadyExists" not in str(error):
            raise
    access.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted", "--overwrite")


def _condition(access: Access, kind: str) -> str:
    path = f'{{.status.conditions[?(@.type=="{kind}")]}}'
    text = access.kubectl("get", "sapp", "hello", "-n", NAMESPACE, "-o", f"jsonpath={path}")
    if not text:
        return "Unknown (the operator has not looked yet)"
    condition = json.loads(text)
    return f"{condition['status']} {condition.get('reason', '')}: {condition.get('message', '')}"


def _what_next(kubectl: str, place: str) -> str:
    return f"""What to try next:
  {kubectl} -n {NAMESPACE} get pods                                  the head, the workers, the proxies
  {kubectl} -n {NAMESPACE} describe sapp hello                       conditions and events
  {kubectl} -n {NAMESPACE} edit configmap hello-code                 change the code: no pod restarts
  {kubectl} -n {NAMESPACE} scale sapp hello --replicas=2             more replicas of the first stage
  {kubectl} explain sapp.spec.deployments                         every field explained
  {" ".join(["make demo-down", *place.split()])}                                                 remove it all"""
