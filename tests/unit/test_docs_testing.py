"""The guide to testing: its files are written out as they stand there, and their tests run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "testing.md"


def test_the_examples_of_the_guide_pass(tmp_path: Path) -> None:
    blocks = re.findall(r"^```(?:python|ini)\n# (\S+)\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    for name, text in blocks:
        (tmp_path / name).write_text(text)
    tests = sum(text.count("\ndef test_") for _, text in blocks)
    assert tests == 5, "the guide has other examples now: look at each"
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert f"{tests} passed" in done.stdout, done.stdout + done.stderr
