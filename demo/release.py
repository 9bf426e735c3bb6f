"""The operator's Helm release: what an install that was killed midway leaves behind, and how the next one gets over it.

Helm writes a revision as pending before it does anything, and says what became of it when it ends. One that was killed
never does, and from then on refuses every upgrade: "another operation (install/upgrade/rollback) is in progress".
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from demo.access import Access

NAME = "remora"
PENDING = ("pending-install", "pending-upgrade", "pending-rollback")
"""States that a revision has while Helm is at work on it."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A revision that Helm has begun and not ended."""

    name: str
    revision: str
    state: str
    since: str
    """When Helm began, as Helm writes times."""

    def __str__(self) -> str:
        return f"release {self.name} has been {self.state} at revision {self.revision} since {self.since}"

    @property
    def record(self) -> str:
        """The label selector of the Secret in which Helm keeps it."""
        return f"owner=helm,name={self.name},version={self.revision},status in ({','.join(PENDING)})"


def interrupted(listed: str) -> list[Interrupted]:
    """Return the revisions that are pending in what `helm list --pending --output json` printed."""
    return [
        Interrupted(it["name"], str(it["revision"]), it["status"], it["updated"])
        for it in json.loads(listed or "[]")
        if it["status"] in PENDING
    ]


def settings(values: dict[str, str]) -> list[str]:
    """Return Helm's arguments for values, all of which are strings: a digest that is all digits would be a number."""
    return [part for key, value in values.items() for part in ("--set-string", f"{key}={value}")]


def unlock(access: Access, namespace: str) -> list[Interrupted]:
    """Take away the records of revisions that are pending; return them. What they installed stays, for the next one.

    Nothing tells a Helm that was killed from one that is at work elsewhere. The latter ends with an error then.
    Raises CommandFailed.
    """
    found = interrupted(access.helm("list", "--namespace", namespace, "--pending", "--output", "json"))
    mine = [it for it in found if it.name == NAME]
    for each in mine:
        access.kubectl("delete", "secret", "--namespace", namespace, "--selector", each.record)
    return mine


def exists(access: Access, namespace: str) -> bool:
    """Whether there is anything for `helm uninstall`, finished or not; raises CommandFailed."""
    # Without these Helm is silent about pending ones.
    states = ("--deployed", "--failed", "--pending")
    return NAME in access.helm("list", "--namespace", namespace, "--short", *states).split()
