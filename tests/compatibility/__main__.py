"""``python -m tests.compatibility`` writes the page on compatibility; with ``--check`` says whether it is current."""

from __future__ import annotations

import sys

from tests.compatibility import page, table

PAGE = table.TESTS.parent / "docs" / "reference" / "compatibility.md"


def main() -> int:
    """Write or check; the exit code is 1 when the page is out of date."""
    wanted = page.text(table.rows())
    if "--check" in sys.argv[1:]:
        if not PAGE.exists() or PAGE.read_text() != wanted:
            print(f"{PAGE} is not what table.toml says: run `make generate`")
            return 1
        return 0
    PAGE.write_text(wanted)
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
