"""Runs cases with one of the two implementations, in a pytest process of its own, and reads what came out."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.compat.case_list import CASES, HERE, node_id

REQUIREMENTS = HERE / "requirements.txt"
STOP_S = 30


class Outcome(StrEnum):
    """How a case ended."""

    PASSED = "passed"
    FAILED = "FAILED"
    MISSING = "missing"
    """It was not run: the process ended before."""


@dataclass(frozen=True, slots=True)
class Result:
    """One case on one side."""

    outcome: Outcome
    seconds: float = 0
    text: str = ""
    """What pytest says of a failure."""


def environment_of_ray_serve(folder: Path | None = None) -> Path:
    """Return the Python of an environment with Ray Serve, made when it is not there or no longer as required."""
    folder = folder or Path.home() / ".cache" / "remora" / "compat-venv"
    python = folder / "bin" / "python"
    made_of = folder / "made-of.txt"
    wanted = REQUIREMENTS.read_text()
    if python.exists() and made_of.exists() and made_of.read_text() == wanted:
        return python
    print(f"installing Ray Serve into {folder} (about a minute)", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(REQUIREMENTS)]
    subprocess.run(install, check=True)
    made_of.write_text(wanted)
    return python


def run(python: Path, cases: Sequence[str], *, limit_s: float, show: bool = False) -> Mapping[str, Result]:
    """Run the cases on one instance; what did not run, because the process hung or died, is MISSING."""
    # Ray's sockets need a short path, and everything that Ray leaves goes with the folder.
    scratch = Path(tempfile.mkdtemp(prefix="rc-", dir="/tmp"))
    try:
        report = scratch / "report.xml"
        ended = _pytest(python, cases, report, scratch, limit_s, show)
        found = _read(report) if report.exists() else {}
        return {case: found.get(case) or _missing(case, found, ended) for case in cases}
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _pytest(python: Path, cases: Sequence[str], report: Path, scratch: Path, limit_s: float, show: bool) -> str:
    """Run pytest in a session of its own; return why there may be no report."""
    # Files, and the cases in a file of their own: names as arguments would end pytest when one cannot be imported.
    files = list(dict.fromkeys(node_id(case).partition("::")[0] for case in cases))
    wanted = scratch / "cases.txt"
    wanted.write_text("\n".join(map(node_id, cases)))
    options = ["-q", "--tb=short", "-c", str(CASES / "pytest.ini"), f"--junit-xml={report}", f"--cases={wanted}"]
    # Remora must not be found by the other environment: the cases take its presence for the choice of side.
    foreign = () if python == Path(sys.executable) else ("PYTHONPATH",)
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "RAY_SERVE", *foreign))},
        "RAY_TMPDIR": str(scratch),
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    output = scratch / "output.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [str(python), "-m", "pytest", *options, *files],
            cwd=CASES,
            env=env,
            stdout=None if show else file,
            stderr=None if show else subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return f"the cases did not end within {limit_s:g} s"
        finally:
            _end(process)
    return f"pytest ended with {status}:\n" + output.read_text(errors="replace")[-4000:]


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the session's processes: pytest ends what it started when asked, the rest is killed."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _read(report: Path) -> dict[str, Result]:
    """Return the cases of a JUnit report. A case whose clean-up failed has failed, too."""
    found: dict[str, Result] = {}
    for element in ElementTree.parse(report).iter("testcase"):
        area = element.get("classname", "").rpartition(".")[2].removeprefix("test_")
        case = f"{area}::{element.get('name', '').removeprefix('test_')}"
        result = _result(element)
        if case not in found or found[case].outcome is Outcome.PASSED:
            found[case] = result
    return found


def _missing(case: str, found: Mapping[str, Result], ended: str) -> Result:
    """Return the result of a case that was not run: why its file could not be imported, or how pytest ended."""
    of_file = found.get(f"::{case.partition('::')[0]}")
    return Result(Outcome.MISSING, 0, of_file.text if of_file else ended)


def _result(element: ElementTree.Element) -> Result:
    seconds = float(element.get("time", 0))
    for kind in ("failure", "error", "skipped"):
        said = element.find(kind)
        if said is not None:
            return Result(Outcome.FAILED, seconds, f"{said.get('message', '')}\n{said.text or ''}".strip())
    return Result(Outcome.PASSED, seconds)
