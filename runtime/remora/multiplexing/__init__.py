"""`serve.multiplexed`: many models on few replicas. `multiplexed → models → recency (pure)`, told by `holdings`."""

from remora.multiplexing.models import unload_all
from remora.multiplexing.multiplexed import multiplexed

__all__ = ["multiplexed", "unload_all"]
