"""Bodies larger than any buffer pass proxy and replica without staying there; `benchmarks.large_bodies` with 1 GiB."""

from __future__ import annotations

from benchmarks.large_bodies import measure

ALLOWED_MIB = 24
"""Windows, kernel buffers' copies and the allocator's slack; a body that is kept would be 64."""


async def test_memory_is_flat_while_bodies_pass() -> None:
    for passage in await measure(64):
        for name, figures in passage.memory.items():
            assert figures.growth < ALLOWED_MIB, (passage.what, name, figures)
