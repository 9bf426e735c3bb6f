"""Where and with what it was measured."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

PACKAGES = ("ray", "uvicorn", "uvloop", "httptools", "starlette", "fastapi")
ASK = "import importlib.metadata as m, sys; print(*(f'{p} {m.version(p)}' for p in sys.argv[1:]), sep=', ')"


def processor(cpuinfo: str) -> str:
    """Return the processor's name of the text of /proc/cpuinfo."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return "unknown processor"


def facts(ray_serve: Path | None) -> list[str]:
    """Return machine, versions and date, a sentence each."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    said = [
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"{os.cpu_count()} cores ({processor(Path('/proc/cpuinfo').read_text())}), {memory_gb:.0f} GB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}; the load generator shares them",
        f"Remora and bare uvicorn: {_versions(Path(sys.executable))}",
    ]
    return said if ray_serve is None else [*said, f"Ray Serve: {_versions(ray_serve)}"]


def _versions(python: Path) -> str:
    done = subprocess.run([python, "-c", ASK, *PACKAGES], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
