"""Watching a rollout: what its resource tells, and when there is nothing more to wait for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from remora_api.meta import Annotation, ConditionType, Reason

Resource = dict[str, Any]


class TimedOut(Exception):
    """It did not end in time; the message says what it waits for."""


def describe(resource: Resource) -> str:
    """Return how far the rollout is, in a few lines."""
    status = resource.get("status") or {}
    ready = _condition(status, ConditionType.READY)
    lines = [f"current revision: {status.get('currentRevision') or 'none yet'}"]
    rollout = status.get("rollout")
    if rollout is not None:
        lines.append(
            f"rolling out:      {rollout['revision']} (step {rollout.get('step', 0)} of {rollout.get('steps', 0)}, "
            f"{rollout.get('weight', 0)} % of the requests)"
        )
    if resource["spec"].get("revision"):
        lines.append(f"pinned to:        {resource['spec']['revision']}")
    lines.append(f"{ready.get('reason', 'Unknown')}: {ready.get('message', 'the operator has said nothing yet')}")
    return "\n".join(lines)


def ending(resource: Resource) -> bool | None:
    """Return whether what the spec wants is served, or waits for somebody; False if it failed, None if it goes on."""
    status = resource.get("status") or {}
    ready = _condition(status, ConditionType.READY)
    generation = resource["metadata"]["generation"]
    if status.get("observedGeneration") != generation or ready.get("observedGeneration") != generation:
        return None
    if ready.get("status") == "True":
        return True
    if _condition(status, ConditionType.STALLED).get("status") == "True":
        return None if _retries(resource, status) else False
    if ready.get("reason") in (Reason.PAUSED, Reason.RECONCILE_PAUSED):
        return True
    rollout = status.get("rollout") or {}
    if ready.get("reason") == Reason.PROMOTING and rollout.get("step", 0) and not rollout.get("nextStepTime"):
        return None if _goes_on(resource, rollout) else True
    return None


def _asked(resource: Resource) -> tuple[str, str, str]:
    """Return what somebody has asked of a rollout, in an annotation: verb, revision and number, step."""
    words = resource["metadata"].get("annotations", {}).get(Annotation.ROLLOUT, "").split()
    verb, addressed, step = (*words, "", "", "")[:3]
    return verb, addressed, step


def _retries(resource: Resource, status: Mapping[str, Any]) -> bool:
    """Whether the operator is to try again what has failed, and has not begun: then it has another number."""
    verb, addressed, _ = _asked(resource)
    failed = [f"{it['name']}/{it['number']}" for it in status.get("revisions") or [] if it.get("phase") == "Failed"]
    return verb == "retry" and addressed in failed


def _goes_on(resource: Resource, rollout: Mapping[str, Any]) -> bool:
    """Whether the operator is to promote or abort a rollout, and has not done so: its status is of before.

    An annotation changes no generation. Example: `promote hello-b/2 3` while the rollout of revision hello-b, number 2,
    is at step 2; at step 3 it asks for nothing any more.
    """
    verb, addressed, step = _asked(resource)
    if addressed != f"{rollout['revision']}/{rollout['number']}":
        return False
    return verb == "abort" or (verb == "promote" and (not step.isdigit() or int(step) > rollout["step"]))


def watch(
    look: Callable[[float], Iterable[Resource]],
    tell: Callable[[str], None],
    *,
    timeout_s: float,
    clock: Callable[[], float],
) -> bool:
    """Tell what changes until the rollout ends; return if it ended well, raise TimedOut after ``timeout_s`` seconds.

    ``look`` gives the resource as it is, then each time it changes, for at most so many seconds.
    """
    until, told = clock() + timeout_s, ""
    while (left_s := until - clock()) > 0:
        for resource in look(left_s):
            text = describe(resource)
            if text != told:
                tell(f"\n{text}" if told else text)
                told = text
            end = ending(resource)
            if end is not None:
                return end
    raise TimedOut(f"no end within {timeout_s:g} s; what it says last: {told.rpartition(chr(10))[2]}")


def documents(lines: Iterable[str]) -> Iterator[Resource]:
    """Return the objects of `kubectl get -o json --watch`, which prints one behind the other, each with indentation."""
    text: list[str] = []
    for line in lines:
        text.append(line)
        if line.startswith("}"):
            yield json.loads("".join(text))
            text.clear()


def _condition(status: Mapping[str, Any], kind: ConditionType) -> Mapping[str, Any]:
    return next((it for it in status.get("conditions") or [] if it["type"] == kind), {})
