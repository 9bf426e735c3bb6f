"""Task consumers: deployments whose replicas take work from a queue instead of, or beside, answering requests.

`consumer` marks the user's class, `handlers` joins its methods to an adapter in a replica, and an adapter (`celery` is
the one that is there; users may write their own) speaks to the queue. Nothing of this is imported without a consumer.
"""

from typing import Final

CONFIG: Final = "__remora_task_processor_config__"
"""Attribute of a class that consumes tasks: its TaskProcessorConfig."""
HANDLES: Final = "__remora_handles_task__"
"""Attribute of a method that handles tasks: their name."""
UNTOLD_S: Final = 10.0
"""How long running tasks may take when nobody says how long."""
