"""The load generator: wrk (Will Glozer), one run at a time, and its figures read from a script of ours."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

SCRIPT = """
%(request)s
done = function(summary, latency, requests)
  local e = summary.errors
  print(string.format("FIGURES %%d %%f %%f %%f %%f %%d %%d", summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3, e.status,
    e.connect + e.read + e.write + e.timeout))
end
"""
POST = 'wrk.method = "POST"\nwrk.body = string.rep("x", %d)\nwrk.headers["Content-Type"] = "application/octet-stream"'


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of wrk saw."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    refused: int
    """Answers with a status of 400 and more."""
    errors: int
    """Connections that broke, and answers that did not come in time."""

    @property
    def answered_per_s(self) -> float:
        """Good answers a second."""
        return (self.requests - self.refused) / self.seconds


class LoadFailed(Exception):
    """wrk could not run, or printed no figures."""


def parsed(output: str) -> Load:
    """Read what the script printed; raises LoadFailed."""
    found = re.search(r"FIGURES (\d+) (\S+) (\S+) (\S+) (\S+) (\d+) (\d+)", output)
    if found is None:
        raise LoadFailed(f"wrk printed no figures:\n{output}")
    requests, seconds, p50_ms, p99_ms, max_ms, refused, errors = (float(group) for group in found.groups())
    return Load(int(requests), seconds, p50_ms, p99_ms, max_ms, int(refused), int(errors))


def load(
    url: str, *, connections: int, seconds: float, body_bytes: int = 0, good: bool = True, timeout_s: int = 10
) -> Load:
    """Run wrk once; raises LoadFailed, also when ``good`` answers are expected and there were others."""
    with TemporaryDirectory() as folder:
        script = Path(folder, "figures.lua")
        script.write_text(SCRIPT % {"request": POST % body_bytes if body_bytes else ""})
        argv = ["wrk", f"-t{min(2, connections)}", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
        argv += ["--timeout", f"{timeout_s}s", "-s", str(script), url]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LoadFailed(f"wrk: {done.stderr.strip() or done.stdout.strip()}")
    found = parsed(done.stdout)
    if good and (found.refused or not found.requests):
        raise LoadFailed(f"{found.refused} of {found.requests} answers were refusals")
    return found
