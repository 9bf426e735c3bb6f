"""Names of applications as Kubernetes takes them.

Pure.
"""

from __future__ import annotations

import re


def object_name(name: str) -> str:
    """Return the name in lower-case letters, digits and '-', a letter first, at most 40 characters."""
    word = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    word = word if word[:1].isalpha() else f"app-{word}"
    return word[:40].strip("-")
