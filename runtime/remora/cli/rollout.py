"""`remora rollout VERB NAME`: look at a rollout and steer it, through kubectl and with your own rights.

All of it is in the resource (`spec.revision`, `spec.rollout.paused`, the annotation `remora.dev/rollout`) and in its
status, so that whoever has no `remora` can do the same with kubectl.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from remora.cli.rollout_watch import Resource, TimedOut, describe, documents, watch
from remora_api.meta import Annotation

VERBS = {
    "status": "how far the rollout is, and what it waits for; --watch waits for its end",
    "history": "the revisions that can be gone back to",
    "undo": "go back to the revision that served before, or to another with --to-revision",
    "unpin": "follow the spec again after an undo",
    "pause": "stop where it is",
    "resume": "go on",
    "promote": "go to the next step of a canary, or make a blue/green revision the current one; --full goes to the end",
    "abort": "give the new revision up",
    "retry": "try a revision again that failed",
}
Kubectl = Callable[[Sequence[str]], str]


class Refused(Exception):
    """It cannot be done; the message says why and what to do instead."""


def main(arguments: Sequence[str]) -> int:
    """Do one thing; the exit code is 1 when it cannot be done, or when a watched rollout ends badly or not in time."""
    given = _parser().parse_args(arguments)
    place = ["-n", given.namespace] if given.namespace else []
    place += ["--context", given.context] if given.context else []

    def kubectl(words: Sequence[str]) -> str:
        return _kubectl([*place, *words])

    try:
        if given.watch:
            return _watched(given, place)
        print(perform(given, kubectl))  # noqa: T201 - the command line talks to its user
    except (Refused, TimedOut) as error:
        print(f"remora rollout: {error}", file=sys.stderr)  # noqa: T201 - as above
        return 1
    return 0


def perform(given: argparse.Namespace, kubectl: Kubectl) -> str:
    """Carry out a verb on the resource that kubectl shows, and return what to tell the user; raise Refused."""
    name = given.name
    resource = _resource(kubectl, name)
    status = resource.get("status") or {}
    match given.verb:
        case "status":
            return describe(resource)
        case "history":
            return history(status)
        case "undo":
            chosen = earlier(status, given.to_revision)
            _patch(kubectl, name, {"spec": {"revision": chosen}})
            return (
                f"{name} goes back to revision {chosen} and stays there; `remora rollout unpin {name}` follows the spec"
            )
        case "unpin":
            _patch(kubectl, name, {"spec": {"revision": None}})
            return f"{name} follows its spec"
        case "pause" | "resume":
            _patch(kubectl, name, {"spec": {"rollout": {"paused": given.verb == "pause"}}})
            return f"the rollout of {name} is {'paused' if given.verb == 'pause' else 'resumed'}"
        case _:
            words = request(given.verb, status, full=given.full)
            kubectl(["annotate", "serveapplication", name, f"{Annotation.ROLLOUT}={words}", "--overwrite"])
            return f"asked for: {words}"


def request(verb: str, status: Mapping[str, Any], *, full: bool = False) -> str:
    """Return the annotation that asks for something of the present rollout; it means nothing for any later one."""
    rollout = status.get("rollout")
    if verb == "retry":
        latest = _latest(status)
        if latest.get("phase") != "Failed":
            raise Refused("the latest revision has not failed: there is nothing to try again")
        return f"retry {latest['name']}/{latest['number']}"
    if rollout is None:
        raise Refused("no rollout is under way")
    addressed = f"{verb} {rollout['revision']}/{rollout['number']}"
    if verb == "promote" and not full:
        if not rollout.get("step"):
            raise Refused(f"revision {rollout['revision']} is not ready yet: {rollout.get('message', '')}")
        return f"{addressed} {rollout['step'] + 1}"
    return addressed


def earlier(status: Mapping[str, Any], wanted: str | None) -> str:
    """Return the name of the revision to go back to: the one asked for by name or number, else the one before."""
    revisions = list(status.get("revisions") or [])
    if wanted is not None:
        found = [it["name"] for it in revisions if wanted in (it["name"], str(it["number"]))]
        if not found:
            raise Refused(f"there is no revision {wanted}; `remora rollout history` lists those that are kept")
        return str(found[0])
    current = status.get("currentRevision", "")
    updated = status.get("updatedRevision", "")
    if updated != current and any(it["name"] == current for it in revisions):
        # In the middle of a rollout the revision before is the one that still serves.
        return str(current)
    found = [it["name"] for it in revisions if it["name"] != current and it.get("phase") != "Failed"]
    if not found:
        raise Refused("there is no earlier revision to go back to")
    return str(found[0])


def history(status: Mapping[str, Any]) -> str:
    """Return the revisions as a table, the newest first."""
    rows = [("REVISION", "NAME", "PHASE", "WEIGHT", "READY", "MESSAGE")]
    rows += [
        (
            str(it["number"]),
            it["name"],
            it.get("phase", ""),
            f"{it.get('weight', 0)}%",
            str(it.get("ready", 0)),
            it.get("message", "")[:80],
        )
        for it in status.get("revisions") or []
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _watched(given: argparse.Namespace, place: Sequence[str]) -> int:
    if given.verb != "status":
        raise Refused(f"--watch is for status: `remora rollout status {given.name} --watch` after {given.verb}")
    # Fails where there is none of the name, which a watch would wait for.
    _kubectl([*place, "get", "serveapplication", given.name, "-o", "name"])
    # As a list of one: of an object that is named, kubectl drops the first event of the watch that follows its get, and
    # with it what changed between the two.
    only = f"--field-selector=metadata.name={given.name}"
    asked = [*place, "get", "serveapplications", only, "-o", "json", "--watch"]
    is_good = watch(
        # Rounded up: 0 would be without an end.
        lambda seconds: _changes([*asked, f"--request-timeout={math.ceil(seconds)}s"]),
        lambda text: print(text, flush=True),  # noqa: T201 - the command line talks to its user
        timeout_s=given.timeout,
        clock=time.monotonic,
    )
    return 0 if is_good else 1


def _resource(kubectl: Kubectl, name: str) -> Resource:
    found: Resource = json.loads(kubectl(["get", "serveapplication", name, "-o", "json"]))
    return found


def _latest(status: Mapping[str, Any]) -> Mapping[str, Any]:
    updated = status.get("updatedRevision")
    return next((it for it in status.get("revisions") or [] if it["name"] == updated), {})


def _patch(kubectl: Kubectl, name: str, patch: Resource) -> None:
    kubectl(["patch", "serveapplication", name, "--type=merge", "-p", json.dumps(patch)])


def _kubectl(words: Sequence[str]) -> str:
    with _kubectl_process(words) as process:
        output, complaint = process.communicate()
        _check(process, complaint)
    return output


def _changes(words: Sequence[str]) -> Iterator[Resource]:
    """Return a resource as it is and each time it changes, until the server ends that, or kubectl's time is over."""
    with _kubectl_process(words) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            yield from documents(process.stdout)
            _check(process, process.stderr.read())
        finally:
            process.terminate()


def _kubectl_process(words: Sequence[str]) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(["kubectl", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    except FileNotFoundError as error:
        raise Refused("kubectl is not on the PATH: install it, or use the resource's fields directly") from error


def _check(process: subprocess.Popen[str], complaint: str) -> None:
    if process.wait():
        raise Refused(complaint.strip() or f"kubectl ended with {process.returncode}")


def _parser() -> argparse.ArgumentParser:
    summary = "\n".join(f"  {verb:<9} {what}" for verb, what in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="remora rollout", description=summary, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("verb", choices=VERBS, metavar="VERB", help="one of those above")
    parser.add_argument("name", metavar="NAME", help="the ServeApplication")
    parser.add_argument("-n", "--namespace", default="", help="its namespace; kubectl's own unless given")
    parser.add_argument("--context", default="", help="of the kubeconfig; kubectl's own unless given")
    parser.add_argument("--to-revision", help="for undo: a revision's name or number")
    parser.add_argument("--full", action="store_true", help="for promote: past all steps")
    parser.add_argument(
        "--watch",
        action="store_true",
        help="for status: tell what changes until all requests are served by the latest revision, or it waits for "
        "somebody (exit status 0), or has failed (1)",
    )
    parser.add_argument(
        "--timeout", type=float, default=900.0, metavar="SECONDS", help="for --watch, then 1 (default: %(default)g)"
    )
    return parser
