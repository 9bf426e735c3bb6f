"""`python -m remora COMMAND`: what containers and the `remora` script start."""

from __future__ import annotations

import sys

from remora.cli import main

if __name__ == "__main__":
    sys.exit(main())
