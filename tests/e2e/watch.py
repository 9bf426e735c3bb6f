"""Objects counted from a watch: what was there for a moment only is counted, too."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.stage import Stage, eventually


@dataclass(slots=True)
class Seen:
    """What the watch has told."""

    active: set[str] = field(default_factory=set)
    """Names of objects that are there and not being deleted."""
    peak: int = 0
    """The most that there were at a time."""
    events: int = 0
    unschedulable: set[str] = field(default_factory=set)
    """Names of pods that no node had room for, at some time."""

    def take(self, event: dict[str, Any]) -> None:
        """Take in one event of the watch."""
        metadata = event["object"]["metadata"]
        self.events += 1
        if event["type"] == "DELETED" or "deletionTimestamp" in metadata:
            self.active.discard(metadata["name"])
        else:
            self.active.add(metadata["name"])
        self.peak = max(self.peak, len(self.active))
        conditions = event["object"].get("status", {}).get("conditions", [])
        if any(it["type"] == "PodScheduled" and it.get("reason") == "Unschedulable" for it in conditions):
            self.unschedulable.add(metadata["name"])


@contextmanager
def watched(stage: Stage, kind: str, selector: str) -> Iterator[Seen]:
    """Count objects of a kind, of which there is one already, while the context is entered.

    Fails if the watch ended before.
    """
    seen = Seen()
    with watching(stage, kind, selector, seen.take):
        # It begins with what there is: what comes and goes from here on is counted.
        eventually(lambda: seen.events, 30, f"the first word of the watch of {kind}")
        yield seen


@contextmanager
def watching(stage: Stage, kind: str, selector: str, take: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """Give each event of a watch to `take`, in a thread, while the context is entered; fails if it ended before."""
    words = ("-n", stage.namespace, "get", kind, "-l", selector, "--watch", "--output-watch-events", "-o", "json")
    process = subprocess.Popen(stage.cluster.kubectl_argv(*words), stdout=subprocess.PIPE, text=True)

    def read() -> None:
        assert process.stdout is not None
        # One event a line.
        for line in process.stdout:
            take(json.loads(line))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield
        assert process.poll() is None, f"the watch of {kind} has ended with {process.returncode}"
    finally:
        process.terminate()
        process.wait()
        reader.join(5)
