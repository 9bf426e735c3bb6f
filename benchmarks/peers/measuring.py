"""What comparisons do around their rows: images beforehand, and an entry of the record for each row of a side."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from benchmarks.in_cluster import image
from benchmarks.peers.record import Entry, Row
from tests.cluster import Cluster, ClusterError
from tests.cluster.progress import say
from tests.cluster.recipes import Recipe
from tests.e2e.page import commit

RECOVERY_S: Final = 120
"""What a side gets to come to itself after a row that failed."""
R = TypeVar("R", bound=Row)


def load_images(cluster: Cluster, recipes: AbstractContextManager[list[Recipe]]) -> None:
    """Build what is missing of these images and of the load generator's."""
    with recipes as made:
        for it in made:
            cluster.build(it)
    with image.recipe() as recipe:
        cluster.build(recipe)


def entries(
    side: str, rows: Sequence[R], measure: Callable[[R], Mapping[str, Any]], failed: Callable[[], None]
) -> Iterator[Entry]:
    """Run those of the rows that a side has. One that fails leaves the others their turn, after `failed`."""
    for row in rows:
        if row.only not in ("", side):
            continue
        began = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
        say(f"… {side}: {row.title}")
        then = time.monotonic()
        try:
            entry = Entry(began, commit(), side, row.key, measure(row))
        except (AssertionError, ClusterError, OSError, KeyError, StopIteration) as error:
            say(traceback.format_exc())
            entry = Entry(began, commit(), side, row.key, error=f"{type(error).__name__}: {error}")
            failed()
        say(f"✓ {side}: {row.title} ({time.monotonic() - then:.0f} s)")
        yield entry
