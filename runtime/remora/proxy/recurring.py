"""What is made of bytes that come again and again, kept by these bytes. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

Value = TypeVar("Value")

KEPT: Final = 256
"""When there are more, all are forgotten."""


class Recurring(dict[bytes, Value | None]):
    """Look up with `get`, and `learn` what had to be worked out.

    None stands for what was seen once, or has something special about it: what never comes again is not worth work.
    """

    __slots__ = ()

    def learn(self, packed: bytes, make: Callable[[], Value | None]) -> None:
        """Keep what ``make`` returns, if these bytes have come before; nothing if it returns None."""
        if packed not in self:
            if len(self) >= KEPT:
                self.clear()
            self[packed] = None
        elif (made := make()) is not None:
            self[packed] = made
