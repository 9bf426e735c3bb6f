"""Names of gRPC services that are not the user's. Pure."""

from __future__ import annotations

from typing import Final

REFLECTION: Final = "grpc.reflection.v1alpha.ServerReflection"
"""The one that is listed: what every client knows (grpc/grpc, doc/server-reflection.md)."""
REFLECTION_METHODS: Final = frozenset(
    # Messages of both versions are the same on the wire.
    {f"/{REFLECTION}/ServerReflectionInfo", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"}
)
