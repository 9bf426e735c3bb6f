"""Local mode on a real Ray: `remora run` and `remora exec` as a user starts them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ports import free_port

pytestmark = pytest.mark.ray

ROOT = Path(__file__).parents[2]
START_S = 60
STOP_S = 20


@contextmanager
def remora(*arguments: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a command in a session of its own, and end it as Ctrl-C does."""
    process = subprocess.Popen(
        [sys.executable, "-m", "remora", *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def until_served(process: subprocess.Popen[str]) -> list[str]:
    """Return the lines until the one that gives the URL."""
    assert process.stdout is not None
    lines: list[str] = []
    deadline = time.monotonic() + START_S
    for line in process.stdout:
        lines.append(line)
        if " is served at " in line:
            return lines
        assert time.monotonic() < deadline, "".join(lines)
    raise AssertionError("".join(lines))


def ask(port: int, path: str = "/", body: object | None = None) -> tuple[int, str]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", data=data, headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_pipeline_of_the_example_answers_and_everything_ends_with_ctrl_c(tmp_path: Path) -> None:
    port = free_port()
    manifest = str(ROOT / "examples" / "hello" / "serveapplication.yaml")
    with remora("run", manifest, "--port", str(port), cwd=tmp_path) as process:
        lines = until_served(process)
        assert any("] Model loaded." in line for line in lines), "what user code prints is on our stdout"
        assert ask(port, body={"data": "hello world"}) == (200, "Final output: Inferred result: HELLO WORLD")
    assert process.returncode == 0
    with pytest.raises(OSError):
        ask(port)


def test_sigterm_ends_it_quietly(tmp_path: Path) -> None:
    manifest = str(ROOT / "examples" / "hello" / "serveapplication.yaml")
    with remora("run", manifest, "--port", str(free_port()), cwd=tmp_path) as process:
        until_served(process)
        process.terminate()
        rest, _ = process.communicate(timeout=STOP_S)
    assert process.returncode == 0
    assert "***" not in rest, "Ray's own handler prints a stack"
    assert "Traceback" not in rest


def test_an_import_path_from_the_working_directory_with_arguments(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import os\n"
        "from remora import serve\n"
        "@serve.deployment(num_replicas=2)\n"
        "class Greeter:\n"
        "    def __init__(self, word): self.word = word\n"
        "    def __call__(self, request): return f'{self.word} {os.getpid()} {os.nice(0)}'\n"
        "def build(args): return Greeter.bind(args['word'])\n"
    )
    port = free_port()
    arguments = ("run", "mine:build", "--port", str(port), "--route-prefix", "/greet", "--arg", "word=moin")
    with remora(*arguments, cwd=tmp_path) as process:
        assert "(Greeter ×2)" in until_served(process)[-1]
        answers = {ask(port, "/greet/") for _ in range(100)}
        assert {(status, text.partition(" ")[0]) for status, text in answers} == {(200, "moin")}
        assert len(answers) == 2, "as many replicas as the code says"
        assert {text.rpartition(" ")[2] for _, text in answers} == {str(os.nice(0))}, "no less of a core than the proxy"
        assert ask(port, "/other")[0] == 404


def test_a_serve_config_with_two_applications_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "shop.py").write_text(
        "import os\n"
        "from ray import serve\n"
        "@serve.deployment\n"
        "class Word:\n"
        "    def __init__(self, word): self.word, self.end = word, ''\n"
        "    def reconfigure(self, config): self.end = config['end']\n"
        "    def __call__(self, request):\n"
        "        return f\"{self.word}{self.end} {os.environ['MODE']} {os.path.basename(os.getcwd())}\"\n"
        "def build(args): return Word.bind(args['word'])\n"
    )
    port = free_port()
    (tmp_path / "config.yaml").write_text(
        f"http_options: {{host: 127.0.0.1, port: {port}}}\n"
        "applications:\n"
        "- name: One_1\n"
        "  import_path: shop:build\n"
        "  runtime_env: {working_dir: code, env_vars: {MODE: fast}}\n"
        "  args: {word: hi}\n"
        "  deployments: [{name: Word, user_config: {end: '!'}, ray_actor_options: {num_cpus: 0.1}}]\n"
        "- name: two\n"
        "  route_prefix: /two\n"
        "  import_path: shop:build\n"
        "  runtime_env: {working_dir: 'local://code', env_vars: {MODE: slow}}\n"
        "  args: {word: ho}\n"
        "  deployments: [{name: Word, num_replicas: 2}]\n"
    )
    with remora("run", "config.yaml", cwd=tmp_path) as process:
        assert f"One_1 is served at http://127.0.0.1:{port}/ (Word)\n" in until_served(process)
        assert until_served(process)[-1] == f"two is served at http://127.0.0.1:{port}/two/ (Word ×2)\n"
        assert ask(port) == (200, "hi! fast code")
        assert ask(port, "/two/") == (200, "ho slow code")
        assert json.loads(ask(port, "/-/routes")[1]) == {"/": "One_1", "/two": "two"}


def test_a_constructor_that_hangs_is_given_up_and_named(tmp_path: Path) -> None:
    (tmp_path / "hanging.py").write_text(
        "import threading\n"
        "from remora import serve\n"
        "@serve.deployment\n"
        "class Hanging:\n"
        "    def __init__(self): threading.Event().wait()\n"
        "app = Hanging.bind()\n"
    )
    with remora("run", "hanging:app", "--port", str(free_port()), "--start-timeout", "4", cwd=tmp_path) as process:
        printed, _ = process.communicate(timeout=START_S)
    assert process.returncode == 1
    assert printed.strip().splitlines()[-1] == (
        "remora: deployment 'Hanging': its constructor did not return within 4 s"
    )


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        pytest.param(
            "missing:app", "import path 'missing:app': ModuleNotFoundError: No module named 'missing'", id="module"
        ),
        pytest.param(
            "broken:app",
            "deployment 'Broken': the constructor of broken.Broken failed: ValueError: no weights",
            id="constructor",
        ),
    ],
)
def test_what_cannot_be_served_is_said_in_one_line(tmp_path: Path, subject: str, message: str) -> None:
    (tmp_path / "broken.py").write_text(
        "from remora import serve\n"
        "@serve.deployment\n"
        "class Broken:\n"
        "    def __init__(self): raise ValueError('no weights')\n"
        "app = Broken.bind()\n"
    )
    with remora("run", subject, "--port", str(free_port()), cwd=tmp_path) as process:
        printed, _ = process.communicate(timeout=START_S)
    assert process.returncode == 1
    assert printed.rstrip().splitlines()[-1] == f"remora: {message}"


def test_a_script_that_calls_serve_run_serves(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "import urllib.request\n"
        "from ray import serve\n"
        "@serve.deployment\n"
        "class Double:\n"
        "    def __call__(self, x): return 2 * x\n"
        "@serve.deployment\n"
        "class Ingress:\n"
        "    def __init__(self, double): self.double = double\n"
        "    async def __call__(self, request): return await self.double.remote(int(request.query_params['x']))\n"
        "    def plus_one(self, x): return x + 1\n"
        "@serve.deployment(ray_actor_options={'runtime_env': {'env_vars': {'MODE': 'fast'}}})\n"
        "def mode(): import os; return os.environ['MODE']\n"
        f"serve.start(http_options={{'port': {(port := free_port())}}})\n"
        "handle = serve.run(Ingress.bind(Double.bind()), name='demo')\n"
        f"print('http', urllib.request.urlopen('http://127.0.0.1:{port}/?x=4').read().decode())\n"
        "print('handle', handle.plus_one.remote(4).result())\n"
        "print('found', serve.get_app_handle('demo').plus_one.remote(5).result(), bool(serve.status()))\n"
        "serve.delete('demo')\n"
        "print('deleted')\n"
        "print('mode', serve.run(mode.bind(), name='left', route_prefix='/left').remote().result())\n"
    )
    with remora("exec", "script.py", cwd=tmp_path) as process:
        printed, _ = process.communicate(timeout=START_S)
    assert process.returncode == 0, printed
    said = [
        line for line in printed.splitlines() if line.split(" ")[0] in ("http", "handle", "found", "deleted", "mode")
    ]
    assert said == ["http 8", "handle 5", "found 6 True", "deleted", "mode fast"]
    # It ends in order also with an application that nobody took away.
    assert "Traceback" not in printed


def test_a_script_serves_grpc_beside_http_and_its_options_hold(tmp_path: Path) -> None:
    (tmp_path / "words_grpc.py").write_text(
        "import grpc\n"
        "from google.protobuf.wrappers_pb2 import StringValue\n"
        "def add_WordsServicer_to_server(servicer, server):\n"
        "    coded = dict(\n"
        "        request_deserializer=StringValue.FromString, response_serializer=StringValue.SerializeToString)\n"
        "    handlers = {'Upper': grpc.unary_unary_rpc_method_handler(servicer.Upper, **coded)}\n"
        "    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler('test.Words', handlers),))\n"
    )
    (tmp_path / "script.py").write_text(
        "import asyncio, urllib.error, urllib.request\n"
        "import grpc\n"
        "from google.protobuf.wrappers_pb2 import StringValue\n"
        "from ray import serve\n"
        "from ray.serve.config import HTTPOptions, gRPCOptions\n"
        "from ray.serve.grpc_util import RayServegRPCContext\n"
        "@serve.deployment\n"
        "class Words:\n"
        "    async def __call__(self, request): await asyncio.sleep(60)\n"
        "    def Upper(self, word, grpc_context: RayServegRPCContext):\n"
        "        return StringValue(value=f'{word.value.upper()} {grpc_context.application()}')\n"
        "serve.start(\n"
        f"    http_options=HTTPOptions(port={(http := free_port())}, request_timeout_s=0.5, root_path='/out'),\n"
        f"    grpc_options=gRPCOptions(port={(rpc := free_port())},\n"
        "    grpc_servicer_functions=['words_grpc.add_WordsServicer_to_server']))\n"
        "serve.run(Words.bind(), name='demo', route_prefix='/words')\n"
        f"with grpc.insecure_channel('127.0.0.1:{rpc}') as channel:\n"
        "    coded = dict(\n"
        "        request_serializer=StringValue.SerializeToString, response_deserializer=StringValue.FromString)\n"
        "    upper = channel.unary_unary('/test.Words/Upper', **coded)\n"
        "    print('grpc', upper(StringValue(value='hi'), metadata=(('application', 'demo'),)).value)\n"
        "try:\n"
        f"    urllib.request.urlopen('http://127.0.0.1:{http}/words')\n"
        "except urllib.error.HTTPError as error:\n"
        "    print('http', error.code)\n"
    )
    with remora("exec", "script.py", cwd=tmp_path) as process:
        printed, _ = process.communicate(timeout=START_S)
    assert process.returncode == 0, printed
    assert [line for line in printed.splitlines() if line.split(" ")[0] in ("grpc", "http")] == [
        "grpc HI demo",
        "http 408",
    ]
