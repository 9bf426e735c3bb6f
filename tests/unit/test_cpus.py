"""CPUs that a process may use: those that it may run on, or its container's share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remora import cpus

ALL = float(len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else float(os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("max 100000\n", ALL),
        ("50000 100000\n", 0.5),
        ("100000 100000\n", 1.0),
        ("6400000 100000\n", min(ALL, 64.0)),
        ("", ALL),
        ("what is this\n", ALL),
    ],
)
def test_a_container_s_share_counts(told: str, expected: float, tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text(told)
    assert cpus.available(quota) == expected


def test_without_a_container_all_count(tmp_path: Path) -> None:
    assert cpus.available(tmp_path / "none") == ALL


def test_others_may_be_let_run_by_anybody() -> None:
    cpus.let_others()
