"""How the benchmark talks to its hosts: one JSON line an order on standard input, one JSON line back on a pipe.

Imports only the standard library, as it runs in every side's own Python.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

Order = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def serve(replies: int, **orders: Order) -> None:
    """Perform orders until the standard input ends: ``{"do": name, …}`` is answered by ``orders[name]``."""
    with os.fdopen(replies, "w", buffering=1) as answers:
        answers.write("{}\n")
        for line in sys.stdin:
            order = json.loads(line)
            try:
                answer = dict(orders[order["do"]](order))
            except Exception:  # noqa: BLE001 - the benchmark reports it
                answer = {"error": traceback.format_exc()}
            answers.write(json.dumps(answer) + "\n")
