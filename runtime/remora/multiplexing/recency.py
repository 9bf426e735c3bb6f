"""Recency: which model has to go when another comes. Pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

UNLIMITED: Final = -1


class Recency:
    """Models by id, the least recently used first."""

    __slots__ = ("_loaded", "limit")

    def __init__(self, limit: int) -> None:
        """Hold at most `limit` models; UNLIMITED holds all."""
        self.limit = limit
        self._loaded: OrderedDict[str, Any] = OrderedDict()

    def __len__(self) -> int:
        return len(self._loaded)

    def __contains__(self, model_id: str) -> bool:
        return model_id in self._loaded

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of all models, the least recently used first."""
        return tuple(self._loaded)

    def use(self, model_id: str) -> Any:
        """Return a model, which is the most recently used one from now on; KeyError when it is not here."""
        self._loaded.move_to_end(model_id)
        return self._loaded[model_id]

    def add(self, model_id: str, model: Any) -> None:
        """Hold a model, as the most recently used one. Make room before: see `surplus`."""
        self._loaded[model_id] = model

    def surplus(self) -> tuple[str, Any] | None:
        """Remove and return the model that has to go before another can come; None while there is room."""
        if self.limit == UNLIMITED or len(self._loaded) < self.limit:
            return None
        return self._loaded.popitem(last=False)

    def drop(self) -> tuple[str, Any] | None:
        """Remove and return any model; None when there is none."""
        return self._loaded.popitem(last=False) if self._loaded else None
