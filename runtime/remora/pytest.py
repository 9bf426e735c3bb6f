"""A pytest plugin: `pytest -p remora.pytest` (or `addopts = "-p remora.pytest"`) makes `ray.serve` Remora in tests.

It also brings a fixture, `serve_application`, that serves an application in this process until the test ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from remora.compat import alias

if TYPE_CHECKING:
    from remora.testing import Client

try:
    # Before any conftest or test module is imported.
    alias.install()
except ImportError as error:
    raise pytest.UsageError(f"-p remora.pytest: {error}; name this plugin before those that import it") from error


@pytest.fixture
def serve_application() -> Iterator[Callable[..., Client]]:
    """Return a function with the arguments of `remora.testing.application`, which serves until the test ends."""
    from remora import testing

    with ExitStack() as stack:

        def serve(app: Any, **options: Any) -> Client:
            return stack.enter_context(testing.application(app, **options))

        yield serve
