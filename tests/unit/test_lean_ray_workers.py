"""How a raylet is told to start its workers. Pure."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from remora.lean_ray import forked
from remora.lean_ray.template import Asked
from remora.lean_ray.workers import COMMAND, with_prestarted, with_template

SOCKET = Path("/tmp/a b/socket")


def test_no_more_workers_start_ahead_than_are_sure_to_be_used() -> None:
    def ahead(number: int) -> list[str]:
        return ["raylet", f"--num_prestart_python_workers={number}", "--head"]

    assert with_prestarted(ahead(8), 1) == ahead(1)
    assert with_prestarted(ahead(0), 1) == ahead(0)
    assert with_prestarted(["gcs_server", "--port=1"], 1) == ["gcs_server", "--port=1"]


def test_the_forking_program_stands_before_the_workers_and_behind_that_of_runtime_environments() -> None:
    words = ["raylet", f"{COMMAND}/venv/bin/python /ray/setup_worker.py /ray/default_worker.py --node-ip=1", "--head"]
    first, command, last = with_template(words, SOCKET)
    assert (first, last) == ("raylet", "--head")
    program = ["/venv/bin/python", "/ray/setup_worker.py", forked.__file__, str(SOCKET), "/ray/default_worker.py"]
    assert shlex.split(command.removeprefix(COMMAND)) == [*program, "--node-ip=1"]


def test_workers_that_are_started_in_another_way_stay_as_they_are() -> None:
    others = ["raylet", f"{COMMAND}/venv/bin/python /ray/other.py", "--java_worker_command="]
    assert with_template(others, SOCKET) == others


@pytest.mark.parametrize("message", [b"", b"[]", b"{}", b'{"argv": 1}'])
def test_what_asks_for_nothing_is_told_apart(message: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        Asked.of(message)
