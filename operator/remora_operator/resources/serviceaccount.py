"""ServiceAccounts: one for each kind of pod, with no rights and no token.

Pure. A user may give rights to an application's workers by binding a role to theirs.
"""

from __future__ import annotations

from remora_api.meta import Component
from remora_operator import names
from remora_operator.kinds import SERVICE_ACCOUNT, Manifest
from remora_operator.resources.metadata import Owner, child


def accounts(owner: Owner) -> list[Manifest]:
    """Return the ServiceAccounts."""
    body: Manifest = {"automountServiceAccountToken": False}
    return [
        child(SERVICE_ACCOUNT, names.account(owner.name, component), owner, body, component=component)
        for component in Component
    ]
