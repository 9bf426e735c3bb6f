"""Who waits for a place on a replica, and what is done the moment there is one.

A request that waited is sent by whoever made the place, in the same turn of the loop and in a write of its own: the
replica has nothing to do until it comes, and the task that waits for the answer would run two turns later.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from remora.router.affinity import Affinity
from remora.router.link import Link
from remora.transport.client import ClientStream


class Opened(NamedTuple):
    """A request under way on a replica."""

    link: Link
    stream: ClientStream


class Waiter:
    """Who waits for a place on any replica that suits."""

    __slots__ = ("granted", "opening", "wanted")

    def __init__(self, wanted: Affinity | None, opening: tuple[int, bytes] | None) -> None:
        self.wanted = wanted
        self.opening = opening
        """Kind and payload of the frame that is sent once there is a place; None where its owner sends it."""
        self.granted: asyncio.Future[tuple[Link, ClientStream | None]] = asyncio.get_running_loop().create_future()
        """The place, and the stream on it; no stream if the link was lost in between."""

    def grant(self, link: Link) -> None:
        """Take a place there."""
        link.reserve()
        self.granted.set_result((link, None if self.opening is None else link.open(*self.opening, at_once=True)))

    async def place(self) -> tuple[Link, ClientStream | None]:
        """Wait for the place; whoever is cancelled in the turn in which it came gives it back."""
        try:
            return await self.granted
        except asyncio.CancelledError:
            if self.granted.done() and not self.granted.cancelled() and self.granted.exception() is None:
                link, stream = self.granted.result()
                if stream is None:
                    link.release()
                else:
                    stream.cancel()
            raise
