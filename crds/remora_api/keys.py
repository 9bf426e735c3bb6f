"""Keys of one application, derived from the operator's master key.

Pure. The operator derives, Secrets carry, and each process reads only the keys that its place needs:

========  =================================================  =======================
purpose   what it proves                                      who holds it
========  =================================================  =======================
ray       membership of the Ray cluster (``RAY_AUTH_TOKEN``)  head, workers
control   the right to set targets and read status            operator, controller
data      the right to send requests and read routes          proxies, replicas, controller
proxy     the right to push routing to a proxy                operator, proxies
========  =================================================  =======================
"""

from __future__ import annotations

import hashlib
import hmac
from enum import StrEnum


class Purpose(StrEnum):
    """What a key is for; one Secret each."""

    RAY = "ray"
    CONTROL = "control"
    DATA = "data"
    PROXY = "proxy"


def derive(master: bytes, uid: str, purpose: Purpose, generation: int) -> str:
    """Return the key of one application for one purpose: 64 hexadecimal digits.

    ``uid`` is the resource's uid, so that a name used again never gets an old key; ``generation`` counts rotations.
    The formula is HMAC-SHA-256(master, "remora/v1/UID/PURPOSE/GENERATION").
    """
    message = f"remora/v1/{uid}/{purpose.value}/{generation}".encode()
    return hmac.new(master, message, hashlib.sha256).hexdigest()
