"""Holdings: which models this process has or is loading, told to whoever routes requests to it.

A replica's server listens, and its connections tell the routers (`transport.frames.MODELS`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

Listener = Callable[[tuple[str, ...]], None]


class Holdings:
    """The ids of all models, of however many `serve.multiplexed` functions."""

    def __init__(self) -> None:
        self._ids: dict[int, tuple[str, ...]] = {}
        self._told: tuple[str, ...] = ()
        self._listener: Listener | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        """All ids, sorted."""
        return tuple(sorted({model_id for ids in self._ids.values() for model_id in ids}))

    def listen(self, listener: Listener | None) -> None:
        """Tell the listener the ids now, if there are any, and after every change."""
        self._listener = listener
        if listener is not None and self._told:
            listener(self._told)

    def changed(self, owner: int, ids: tuple[str, ...]) -> None:
        """One owner holds these models now."""
        if ids:
            self._ids[owner] = ids
        else:
            self._ids.pop(owner, None)
        if (now := self.ids) != self._told:
            self._told = now
            if self._listener is not None:
                self._listener(now)


HOLDINGS: Final = Holdings()
"""Of this process."""
