"""Local mode: the same controller, replicas and proxy as in a cluster, on one machine and for one process's life.

`instance` is what `remora run` uses, `script` what stands behind `serve.run` in a program of the user's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remora.runner import Runner


def runner() -> Runner:
    """Return the one that performs `serve.run` in this process."""
    from remora.local.script import ScriptRunner

    return ScriptRunner.the()
