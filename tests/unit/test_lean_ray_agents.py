"""A raylet's command line with stand-ins for its agents."""

from __future__ import annotations

import shlex
from pathlib import Path

from remora.lean_ray import stand_in
from remora.lean_ray.agents import DASHBOARD, RUNTIME_ENV, with_stand_ins

PYTHON = "/venv/bin/python"
PROGRAM = [PYTHON, "-I", "-S", str(Path(stand_in.__file__))]
COMMON = "--session-dir=/tmp/session --node-id=ab12 --node-ip-address=10.0.0.7"
DASHBOARD_AGENT = f"{DASHBOARD}{PYTHON} -u agent.py {COMMON} --minimal --head"
RUNTIME_ENV_AGENT = f"{RUNTIME_ENV}{PYTHON} -u main.py --runtime-env-agent-port=6500 {COMMON} --log-dir=/tmp/logs"


def words(option: str, name: str) -> list[str]:
    assert option.startswith(name)
    return shlex.split(option.removeprefix(name))


def test_a_dashboard_agent_that_serves_nothing_is_one_that_says_so_for_all_its_ports() -> None:
    (found,) = with_stand_ins([DASHBOARD_AGENT], PYTHON)
    assert words(found, DASHBOARD) == [
        *PROGRAM,
        "/tmp/session/metrics_agent_port_ab12",
        "/tmp/session/metrics_export_port_ab12",
        "/tmp/session/dashboard_agent_listen_port_ab12",
    ]


def test_one_that_serves_metrics_stays() -> None:
    serving = DASHBOARD_AGENT.replace(" --minimal", "")
    assert with_stand_ins([serving], PYTHON) == [serving]


def test_the_agent_of_runtime_environments_comes_where_it_is_asked_for() -> None:
    (found,) = with_stand_ins([RUNTIME_ENV_AGENT], PYTHON)
    kept = [PYTHON, "-u", "main.py", *COMMON.split(), "--log-dir=/tmp/logs", "--runtime-env-agent-port="]
    file = "/tmp/session/runtime_env_agent_port_ab12"
    assert words(found, RUNTIME_ENV) == [*PROGRAM, file, stand_in.AGENT, "10.0.0.7", "6500", *kept]


def test_paths_with_spaces_stay_words() -> None:
    spaced = RUNTIME_ENV_AGENT.replace("--log-dir=/tmp/logs", '"--log-dir=/tmp/my logs"')
    (found,) = with_stand_ins([spaced], PYTHON)
    assert "--log-dir=/tmp/my logs" in words(found, RUNTIME_ENV)


def test_what_is_not_understood_stays_as_it_is() -> None:
    others = ["raylet", "--head", f"{DASHBOARD}agent --minimal", f"{RUNTIME_ENV}agent --session-dir=/tmp/session"]
    assert with_stand_ins(others, PYTHON) == others
