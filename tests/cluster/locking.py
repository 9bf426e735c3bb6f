"""Locking: writes the `requirements.lock` files of our images from what pyproject.toml asks for.

Names and versions only: no host, no path, nothing of the machine that resolved them.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .commands import run
from .progress import step

# What users of the image may count on beside what our own code needs.
BESIDE: Mapping[str, tuple[str, ...]] = {"runtime": ("fastapi>=0.115",), "operator": ()}


def lock(repository: Path) -> None:
    """Resolve anew for this Python, which has to be that of the images: 3.11."""
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    for extra, beside in BESIDE.items():
        with step(f"resolving what the {extra} image installs", "10 s"):
            wanted = [*asked(project, extra), *beside]
            pip = (sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet")
            report = json.loads(run(*pip, "--report", "-", *wanted))
            (repository / extra / "requirements.lock").write_text(render(extra, report))


def asked(project: Mapping[str, Any], extra: str) -> list[str]:
    """Everything that an extra asks for; the extras of our own that it names are followed."""
    own = f"{project['name']}["
    found = [*project["dependencies"]]
    for requirement in project["optional-dependencies"][extra]:
        if requirement.startswith(own):
            for other in requirement.removeprefix(own).removesuffix("]").split(","):
                found += asked(project, other)
        else:
            found.append(requirement)
    return sorted(set(found))


def render(image: str, report: Mapping[str, Any]) -> str:
    """The lock file for what pip reports that it would install."""
    installed = [item["metadata"] for item in report["install"]]
    pins = sorted((item["name"].lower().replace("_", "-"), item["version"]) for item in installed)
    origin = "resolved from pyproject.toml for Python 3.11. Written by: python -m tests.cluster lock"
    return "\n".join(
        [f"# What the {image} image installs, {origin}", *(f"{name}=={version}" for name, version in pins), ""]
    )
