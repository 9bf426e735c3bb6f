"""What may be sent to another replica: whatever the one that it was sent to has never begun."""

from __future__ import annotations

from remora.errors import ReplicaUnavailableError
from remora.transport.client import LinkLost, Refused


def check_never_begun(ended: Refused | LinkLost, work: str) -> None:
    """Return when ``work`` may go elsewhere; raise ReplicaUnavailableError when the user's code may have begun it.

    The link of a replica that refused knows that already, and is left alone until there is room.
    """
    if isinstance(ended, LinkLost) and ended.started:
        raise ReplicaUnavailableError(f"the replica vanished while it worked on the {work}") from ended
