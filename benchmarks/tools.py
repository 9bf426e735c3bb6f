"""What the benchmark needs and installs: wrk, and Ray Serve in an environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

RAY_SERVE = "ray[serve]==2.60.0"
WRK_SOURCE = "https://github.com/wg/wrk"
WRK_VERSION = "4.2.0"


class CannotInstall(Exception):
    """A tool is missing, and could not be installed."""


def ray_serve() -> Path:
    """Return the Python of an environment with Ray Serve, made when it is not there."""
    folder = Path.home() / ".cache" / "remora" / "compat-venv"
    python = folder / "bin" / "python"
    if python.exists() and subprocess.run([python, "-c", "import ray.serve"], check=False).returncode == 0:
        return python
    print(f"installing {RAY_SERVE} into {folder} (about a minute)", flush=True)
    _must([sys.executable, "-m", "venv", "--clear", str(folder)])
    _must([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", RAY_SERVE])
    return python


def wrk() -> None:
    """Have wrk: from Debian, else built from its source into the user's ~/.cache."""
    built = Path.home() / ".cache" / "remora" / "wrk"
    if (built / "wrk").exists():
        os.environ["PATH"] = f"{built}{os.pathsep}{os.environ['PATH']}"
    if shutil.which("wrk"):
        return
    print("installing wrk", flush=True)
    if os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "-y", "-qq", "wrk"], stdout=subprocess.DEVNULL, check=False)
    if not shutil.which("wrk"):
        with tempfile.TemporaryDirectory() as folder:
            _must(["git", "clone", "-q", "--depth", "1", "--branch", WRK_VERSION, WRK_SOURCE, folder])
            _must(["make", "-s", "-C", folder, f"-j{os.cpu_count() or 1}"])
            built.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path(folder, "wrk"), built / "wrk")
        os.environ["PATH"] = f"{built}{os.pathsep}{os.environ['PATH']}"


def _must(argv: list[str]) -> None:
    try:
        subprocess.run(argv, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotInstall(f"{' '.join(argv)}: {error}") from error
