"""The proving ground: a real Kubernetes of two nodes, on bare Debian or in kind.

`python -m tests.cluster up` for people; for tests `running()`, or the fixture in `fixtures`.

Reading order: `cli` → `cluster` → `bare` (or `kind`) → what each stage uses: `requirements`,
`packages`, `binaries`, `images`, `network`, `pki`, `control_plane`, `node`, `store`, `loading`, `clearing`.
"""

from .cluster import Cluster, running
from .commands import ClusterError, CommandFailed

__all__ = ["Cluster", "ClusterError", "CommandFailed", "running"]
