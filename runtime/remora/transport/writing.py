"""One write of many pieces: small ones are joined, large ones go to the kernel as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

LARGE_BYTES: Final = 4 * 1024
"""Of a piece, on average, above which copying it into one block costs more than naming it to the kernel."""


def write(transport: asyncio.WriteTransport, pieces: Sequence[bytes | memoryview], size: int) -> None:
    """Write pieces of ``size`` bytes in all. What views show must not change until it is written."""
    if size < LARGE_BYTES * len(pieces):
        transport.write(b"".join(pieces))
    else:
        transport.writelines(pieces)
