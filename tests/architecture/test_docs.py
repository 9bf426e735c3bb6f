"""What the pages say is there: links lead somewhere, commands exist with their options, manifests are accepted."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from remora_api.v1alpha1 import ServeApplication

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGES = sorted(
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "-z", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    if name
)


def blocks(language: str) -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for found in FENCE.finditer(page.read_text()):
            if found[1] == language:
                yield page, found[2]


def commands(program: str) -> list[tuple[str, list[str]]]:
    """Each line of a shell block that begins with the program: its page, and its words up to an operator."""
    found = []
    for page, block in blocks("sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0] == program:
                end = next((i for i, word in enumerate(words) if word in {"|", "&&", "&", ">", ";"}), len(words))
                found.append((str(page.relative_to(ROOT)), words[1:end]))
    return found


def in_order(page: str) -> list[str]:
    """The files that a page's reading orders name, as it writes them."""
    return [step.strip() for order in re.findall(r"`([^`]* → [^`]*)`", page) for step in order.split("→")]


@cache
def usage(command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "remora", command, "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_pages_are_found() -> None:
    assert len(PAGES) > 15
    assert commands("remora")
    assert commands("make")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = [link.partition("#")[0] for link in LINK.findall(page.read_text())]
    missing = [it for it in targets if it and "://" not in it and not (page.parent / it).exists()]
    assert not missing


def test_reading_orders_name_files() -> None:
    steps = in_order((ROOT / "docs" / "architecture.md").read_text())
    assert len(steps) > 20
    roots = [ROOT / it for it in ("runtime/remora", "operator", "operator/remora_operator")]
    # `replica/actor.way` is a method of it.
    missing = [it for it in steps if not any(find(root / it) for root in roots)]
    assert not missing


def find(path: Path) -> bool:
    """Whether there is such a module or package; what follows a dot stands in it."""
    module, _, within = path.name.partition(".")
    file = path.with_name(f"{module}.py")
    return path.is_dir() or (file.exists() and (not within or f" {within}(" in file.read_text()))


@pytest.mark.parametrize(("page", "words"), commands("remora"))
def test_commands_of_remora_exist_with_their_options(page: str, words: list[str]) -> None:
    said = usage(words[0])
    for word in words[1:]:
        if word.startswith("-"):
            assert re.search(rf"{re.escape(word.partition('=')[0])}\b", said), (
                f"{page}: remora {words[0]} has no {word}"
            )


@pytest.mark.parametrize(("page", "words"), commands("make"))
def test_targets_of_make_exist(page: str, words: list[str]) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert words[0] in targets, page


@pytest.mark.parametrize(("page", "block"), [(str(page.relative_to(ROOT)), block) for page, block in blocks("yaml")])
def test_manifests_are_accepted(page: str, block: str) -> None:
    for document in yaml.safe_load_all(block):
        if isinstance(document, dict) and document.get("kind") == "ServeApplication":
            ServeApplication.from_manifest(document, strict=True)


@pytest.mark.parametrize(("page", "block"), [(str(page.relative_to(ROOT)), block) for page, block in blocks("python")])
def test_programs_are_python(page: str, block: str) -> None:
    compile(block, page, "exec", flags=0x2000)  # Await may stand at the top level of a fragment.
