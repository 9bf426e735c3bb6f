"""Who may speak: both ends prove that they hold the key of the application and mean the same replica. Pure.

    replica → client   CHALLENGE  "REMORA" oldest newest  replica's nonce
    client → replica   PROOF      version  client's nonce  HMAC(key, "client" ‖ …)
    replica → client   WELCOME    HMAC(key, "replica" ‖ …)

Each HMAC-SHA-256 covers the version, both nonces, and the application, revision and replica that its maker believes to
speak for. The names never cross the wire: an address that belongs to another replica by now simply fails the proof.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from remora.errors import ProtocolError

VERSION: Final = 1
OLDEST_VERSION: Final = 1
NONCE_BYTES: Final = 32

_MAGIC: Final = b"REMORA"
_MAC_BYTES: Final = hashlib.sha256().digest_size


class HandshakeError(ProtocolError):
    """The other end is not who it has to be, or speaks another version."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a connection leads to."""

    application: str
    revision: str
    replica: str


class ReplicaHandshake:
    """The replica's half, for one connection."""

    __slots__ = ("_identity", "_key", "_nonce")

    def __init__(self, key: str, identity: Identity, nonce: bytes) -> None:
        self._key = key
        self._identity = identity
        self._nonce = nonce

    def challenge(self) -> bytes:
        """Return the payload of CHALLENGE."""
        return _MAGIC + bytes((OLDEST_VERSION, VERSION)) + self._nonce

    def welcome(self, proof: bytes) -> bytes:
        """Check the client's PROOF and return the payload of WELCOME; raises HandshakeError."""
        if len(proof) != 1 + NONCE_BYTES + _MAC_BYTES or not OLDEST_VERSION <= proof[0] <= VERSION:
            raise HandshakeError("a client answered the challenge in no version that this replica speaks")
        version, nonce, given = proof[0], proof[1 : 1 + NONCE_BYTES], proof[1 + NONCE_BYTES :]
        if not hmac.compare_digest(_mac(self._key, b"client", version, self._nonce, nonce, self._identity), given):
            raise HandshakeError(f"a client holds another key, or looks for another replica than {self._identity}")
        return _mac(self._key, b"replica", version, self._nonce, nonce, self._identity)


class ClientHandshake:
    """The client's half, for one connection."""

    __slots__ = ("_expected", "_identity", "_key", "_nonce")

    def __init__(self, key: str, identity: Identity, nonce: bytes) -> None:
        self._key = key
        self._identity = identity
        self._nonce = nonce
        self._expected = b""

    def proof(self, challenge: bytes) -> bytes:
        """Return the payload of PROOF for a CHALLENGE; raises HandshakeError."""
        if len(challenge) != len(_MAGIC) + 2 + NONCE_BYTES or not challenge.startswith(_MAGIC):
            raise HandshakeError(f"what listens in the place of {self._identity.replica} is no replica")
        oldest, newest, nonce = challenge[6], challenge[7], challenge[8:]
        version = min(VERSION, newest)
        if version < max(OLDEST_VERSION, oldest):
            raise HandshakeError(
                f"{self._identity.replica} speaks versions {oldest} to {newest}, this end {OLDEST_VERSION} to {VERSION}"
            )
        self._expected = _mac(self._key, b"replica", version, nonce, self._nonce, self._identity)
        mine = _mac(self._key, b"client", version, nonce, self._nonce, self._identity)
        return bytes((version,)) + self._nonce + mine

    def check(self, welcome: bytes) -> None:
        """Check the replica's WELCOME; raises HandshakeError."""
        if not self._expected or not hmac.compare_digest(self._expected, welcome):
            raise HandshakeError(f"what listens in the place of {self._identity.replica} does not hold the key")


def _mac(key: str, role: bytes, version: int, replica_nonce: bytes, client_nonce: bytes, identity: Identity) -> bytes:
    names = (identity.application, identity.revision, identity.replica)
    # Lengths first, so that no two sets of names read the same.
    named = b"".join(len(part).to_bytes(4, "big") + part for part in (name.encode() for name in names))
    message = b"remora/" + role + bytes((version,)) + replica_nonce + client_nonce + named
    return hmac.new(key.encode(), message, hashlib.sha256).digest()
