"""`python -m remora.lean_ray start …`: Ray's own `ray start …`, without processes that serve nobody in a pod."""

from __future__ import annotations

import sys

from remora import memory
from remora.lean_ray.lean import lean


def main() -> None:
    """Run Ray's command line with this process's arguments; it ends the process."""
    with memory.importing():
        from ray.scripts.scripts import main as command_line

    with lean():
        sys.exit(command_line())


if __name__ == "__main__":
    main()
