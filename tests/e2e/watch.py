"""Objects counted from a watch: what was there for a moment only is counted, too."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.stage import Stage


@dataclass(slots=True)
class Seen:
    """What the watch has told."""

    active: set[str] = field(default_factory=set)
    """Names of objects that are there and not being deleted."""
    peak: int = 0
    """The most that there were at a time."""
    events: int = 0

    def take(self, event: dict[str, Any]) -> None:
        """Take in one event of the watch."""
        metadata = event["object"]["metadata"]
        self.events += 1
        if event["type"] == "DELETED" or "deletionTimestamp" in metadata:
            self.active.discard(metadata["name"])
        else:
            self.active.add(metadata["name"])
        self.peak = max(self.peak, len(self.active))


@contextmanager
def watched(stage: Stage, kind: str, selector: str) -> Iterator[Seen]:
    """Count objects of a kind while the context is entered; fails if the watch ended before."""
    seen = Seen()
    words = ("-n", stage.namespace, "get", kind, "-l", selector, "--watch", "--output-watch-events", "-o", "json")
    process = subprocess.Popen(stage.cluster.kubectl_argv(*words), stdout=subprocess.PIPE, text=True)

    def read() -> None:
        assert process.stdout is not None
        # One event a line.
        for line in process.stdout:
            seen.take(json.loads(line))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield seen
        assert seen.events, f"the watch of {kind} has told nothing"
        assert process.poll() is None, f"the watch of {kind} has ended with {process.returncode}"
    finally:
        process.terminate()
        process.wait()
        reader.join(5)
