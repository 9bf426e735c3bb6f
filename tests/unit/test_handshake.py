"""Who may speak on a connection."""

from __future__ import annotations

import dataclasses

import pytest

from remora.transport.handshake import (
    NONCE_BYTES,
    VERSION,
    ClientHandshake,
    HandshakeError,
    Identity,
    ReplicaHandshake,
)

IDENTITY = Identity("app", "r1", "app#Main#1")
CLIENT_NONCE = b"c" * NONCE_BYTES
REPLICA_NONCE = b"r" * NONCE_BYTES


def pair(
    client_key: str = "key", replica_key: str = "key", client: Identity = IDENTITY, replica: Identity = IDENTITY
) -> tuple[ClientHandshake, ReplicaHandshake]:
    return ClientHandshake(client_key, client, CLIENT_NONCE), ReplicaHandshake(replica_key, replica, REPLICA_NONCE)


def test_both_ends_of_one_key_and_one_replica_agree() -> None:
    client, replica = pair()
    client.check(replica.welcome(client.proof(replica.challenge())))


@pytest.mark.parametrize("field", ["application", "revision", "replica"])
def test_an_address_that_belongs_to_another_is_refused(field: str) -> None:
    client, replica = pair(replica=dataclasses.replace(IDENTITY, **{field: "other"}))
    with pytest.raises(HandshakeError, match="another replica"):
        replica.welcome(client.proof(replica.challenge()))


def test_names_that_run_together_are_not_the_same() -> None:
    client, replica = pair(client=Identity("ab", "c", "d"), replica=Identity("a", "bc", "d"))
    with pytest.raises(HandshakeError):
        replica.welcome(client.proof(replica.challenge()))


def test_a_client_without_the_key_is_refused() -> None:
    client, replica = pair(client_key="wrong")
    with pytest.raises(HandshakeError, match="another key"):
        replica.welcome(client.proof(replica.challenge()))


def test_a_replica_without_the_key_is_not_believed() -> None:
    client, replica = pair()
    client.proof(replica.challenge())
    with pytest.raises(HandshakeError, match="does not hold the key"):
        client.check(b"x" * 32)


def test_a_replica_cannot_answer_with_the_client_s_own_proof() -> None:
    client, replica = pair()
    proof = client.proof(replica.challenge())
    with pytest.raises(HandshakeError):
        client.check(proof[-32:])


def test_a_recorded_proof_is_no_good_for_another_challenge() -> None:
    client, replica = pair()
    proof = client.proof(replica.challenge())
    with pytest.raises(HandshakeError):
        ReplicaHandshake("key", IDENTITY, b"R" * NONCE_BYTES).welcome(proof)


def test_a_welcome_before_the_challenge_is_not_believed() -> None:
    client, _ = pair()
    with pytest.raises(HandshakeError):
        client.check(b"")


@pytest.mark.parametrize("challenge", [b"", b"HTTP/1.1 400 Bad Request", b"REMORA\1\1short"])
def test_something_else_that_listens_is_told_apart(challenge: bytes) -> None:
    with pytest.raises(HandshakeError, match="is no replica"):
        pair()[0].proof(challenge)


def test_versions_that_do_not_meet_are_named() -> None:
    newer = b"REMORA" + bytes((VERSION + 1, VERSION + 2)) + REPLICA_NONCE
    with pytest.raises(HandshakeError, match=f"speaks versions {VERSION + 1} to {VERSION + 2}"):
        pair()[0].proof(newer)


def test_a_newer_replica_that_still_speaks_ours_is_answered() -> None:
    client, _ = pair()
    proof = client.proof(b"REMORA" + bytes((VERSION, VERSION + 5)) + REPLICA_NONCE)
    assert proof[0] == VERSION


@pytest.mark.parametrize("proof", [b"", b"\0" * 65, b"\xff" * 65, b"\1" * 64])
def test_a_malformed_proof_is_refused(proof: bytes) -> None:
    with pytest.raises(HandshakeError):
        pair()[1].welcome(proof)
