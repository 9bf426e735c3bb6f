"""``python -m tests.e2e.soak --times 100``: rollouts of every kind, and their table in ``docs/results/rollouts.md``."""

from __future__ import annotations

import argparse
import subprocess
from datetime import UTC, datetime

from tests.cluster.cluster import running
from tests.e2e.conftest import namespace
from tests.e2e.rolling import HEADER, KINDS, roll
from tests.e2e.stage import ROOT, Stage


def main() -> int:
    """Run the soak; the exit status is 1 when a request failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.soak", description=__doc__)
    parser.add_argument("--times", type=int, default=100, help="rollouts of each kind")
    given = parser.parse_args()
    cluster = running()
    began = datetime.now(UTC)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    rows, failures = [], []
    with namespace(cluster) as name:
        for result in roll(Stage(cluster, name), KINDS, given.times):
            rows.append(result.row())
            failures += [f"* {result.kind}: `{it}`" for it in result.failures]
            print(rows[-1], flush=True)
    lines = [
        "# Rollouts under load",
        "",
        f"{began:%Y-%m-%d %H:%M} UTC, commit {commit}, `make soak-rollouts TIMES={given.times}`: a real two-node "
        "Kubernetes on one machine of two cores, the load generator on the same machine. A client that never retries "
        "sends 100 requests a second on 8 kept connections, and holds streams and requests of 30 seconds.",
        "",
        HEADER,
        *rows,
        "",
        *(["Failures:", "", *failures, ""] if failures else []),
    ]
    place = ROOT / "docs" / "results" / "rollouts.md"
    place.parent.mkdir(exist_ok=True)
    place.write_text("\n".join(lines))
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
