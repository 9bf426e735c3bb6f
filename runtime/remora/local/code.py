"""The user's code in a folder, as it stands in a manifest's `spec.code.inline`."""

from __future__ import annotations

from pathlib import Path

from remora.local.subject import CannotRead


def files_in(folder: Path) -> dict[str, str]:
    """Return the Python files below a folder by their relative path; hidden folders are left out. Raises CannotRead."""
    if not folder.is_dir():
        raise CannotRead(f"{folder} is no folder")
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).parts
        if not any(part.startswith((".", "__pycache__")) for part in parts[:-1]):
            found["/".join(parts)] = _text(path)
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CannotRead(f"{path} cannot be read: {error}") from error
