"""The command line, as far as it needs no Ray: help, mistakes, programs, and what is served."""

from __future__ import annotations

import importlib.util
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from remora import __version__, cli, serve, testing

Captured = pytest.CaptureFixture[str]


def test_help_names_every_command(capsys: Captured) -> None:
    assert cli.main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert re.findall(r"^  (\S+)", printed, re.MULTILINE) == list(cli.COMMANDS)
    assert cli.main([]) == 2
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.endswith(f"remora {__version__}\n")


@pytest.mark.parametrize("command", [name for name in cli.COMMANDS if name not in ("exec",)])
def test_every_command_has_help(command: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: remora {command}" in capsys.readouterr().out


def test_a_misspelt_command_is_answered_with_the_nearest(capsys: Captured) -> None:
    assert cli.main(["covnert"]) == 2
    assert capsys.readouterr().err == "remora: there is no command 'covnert': did you mean `remora convert`?\n"


@pytest.mark.parametrize(
    ("subject", "text", "message"),
    [
        pytest.param("missing.yaml", None, "missing.yaml cannot be read: No such file or directory", id="no file"),
        pytest.param("app.yaml", "a: [1\nb: 2", "app.yaml, line 2, column 2: is no YAML", id="YAML"),
        pytest.param("app.yaml", "a: 1", "app.yaml holds no ServeApplication, and is no Serve config", id="another"),
        pytest.param(
            "app.yaml",
            "{apiVersion: remora.dev/v1alpha1, kind: ServeApplication, metadata: {name: a}, spec: {importPth: 'a:b'}}",
            "spec.importPth: unknown field",
            id="misspelt field",
        ),
        pytest.param("hello", None, "'hello' is neither a file (app.yaml) nor an import path (module:app)", id="word"),
    ],
)
def test_run_says_where_its_file_is_wrong(
    subject: str, text: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / subject).write_text(text)
    assert cli.main(["run", subject]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_ctrl_c_ends_a_command_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("remora.cli.status.main", interrupted)
    assert cli.main(["status"]) == 130


def test_run_says_that_the_port_is_taken(capsys: Captured) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert cli.main(["run", "hello:app", "--port", str(port)]) == 1
    said = capsys.readouterr().err
    assert f"port {port} cannot be used (Address already in use): choose another with --port" in said


def test_run_says_that_ray_is_not_installed(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    def find_spec(name: str, package: str | None = None) -> Any:
        return None if name == "ray" else object()

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    assert cli.main(["run", "hello:app"]) == 1
    assert "Ray is not installed in this Python environment: pip install 'remora[runtime]'" in capsys.readouterr().err


@serve.deployment
class Hello:
    def __call__(self, request: Any) -> str:
        return "hello"


def test_status_says_what_is_served(capsys: Captured) -> None:
    with (
        testing.application(Hello.bind(), name="one", route_prefix="/one") as one,
        testing.application(Hello.bind(), name="two", route_prefix="/two"),
    ):
        url = one.url.removesuffix("/one")
        assert cli.main(["status", "--url", url]) == 0
        lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{url}: ready"
    assert [line.split() for line in lines[1:]] == [["/one", "one"], ["/two", "two"]]


def test_status_says_that_nothing_answers(capsys: Captured) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        assert cli.main(["status", "--url", url]) == 1
    assert f"nothing of Remora's answers at {url}" in capsys.readouterr().err


PROGRAM = """
import sys
from ray import serve
assert serve.__name__ == "remora.serve"
print(__name__, *sys.argv[1:])
sys.exit(7)
"""


@pytest.mark.parametrize(
    ("words", "given"),
    [
        pytest.param(["prog.py", "--a", "b"], None, id="a script"),
        pytest.param(["-m", "pkg.prog", "--a", "b"], None, id="a module"),
        pytest.param(["-", "--a", "b"], PROGRAM, id="standard input"),
    ],
)
def test_exec_runs_a_program_with_its_arguments_and_exit_code(
    words: list[str], given: str | None, tmp_path: Path
) -> None:
    (tmp_path / "prog.py").write_text(PROGRAM)
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").touch()
    (tmp_path / "pkg" / "prog.py").write_text(PROGRAM)
    done = run_exec(words, tmp_path, given)
    assert (done.returncode, done.stdout) == (7, "__main__ --a b\n"), done.stderr


def test_exec_leaves_what_a_program_raises_to_python(tmp_path: Path) -> None:
    (tmp_path / "raises.py").write_text("print('before')\nraise ValueError('mine')\n")
    done = run_exec(["raises.py"], tmp_path)
    assert (done.returncode, done.stdout) == (1, "before\n")
    assert done.stderr.endswith("raises.py\", line 2, in <module>\n    raise ValueError('mine')\nValueError: mine\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["missing.py"], "remora: missing.py cannot be read: there is no such file\n", id="no file"),
        pytest.param(["-m"], "remora: exec -m needs the name of a module\n", id="no module"),
        pytest.param(
            ["-x"], "remora: exec takes no option -x: what is for the program stands after its name\n", id="-x"
        ),
    ],
)
def test_exec_says_what_is_wrong(words: list[str], message: str, capsys: Captured) -> None:
    assert cli.main(["exec", *words]) == 2
    assert capsys.readouterr().err == message


def run_exec(words: list[str], cwd: Path, given: str | None = None) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "remora", "exec", *words]
    return subprocess.run(argv, cwd=cwd, input=given, capture_output=True, text=True, check=False)
