"""Calls as tests make them: of the one application that fakes/services.py serves."""

from __future__ import annotations

from remora.router.router import Router
from remora.types import CallMetadata, Payload

PLAIN = CallMetadata()
WAIT = CallMetadata(method="wait")
NAME = CallMetadata(method="name")
SMALL = Payload(b"x")


async def call(router: Router, metadata: CallMetadata = PLAIN, payload: Payload = SMALL) -> Payload:
    """Run one call."""
    return await router.call("app", "Main", metadata, payload)
