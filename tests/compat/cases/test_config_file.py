"""A Serve config file, as the command line runs it: several applications, arguments, overrides."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest
from conftest import free_port

CODE = """
import logging

from pydantic import BaseModel
from ray import serve
from starlette.requests import Request

class Args(BaseModel):
    word: str
    times: int = 1

@serve.deployment
class Word:
    def __init__(self, word):
        self.word, self.suffix = word, ""
    def reconfigure(self, config):
        self.suffix = config["suffix"]
    def __call__(self, request: Request):
        return self.word + self.suffix

@serve.deployment
class Shout:
    def __init__(self, inner):
        self.inner = inner
    async def __call__(self, request: Request):
        return (await self.inner.options(method_name="plain").remote()).upper()

@serve.deployment
class Quiet:
    def plain(self):
        return "quiet"

@serve.deployment
class Paced:
    def __init__(self, behind):
        self.behind = behind
    async def __call__(self, request: Request):
        return await self.behind.who.remote()

@serve.deployment
class Behind:
    def who(self):
        return str(serve.get_replica_context().replica_id)

class Together:
    # Behind gets a replica for each replica of Paced, and some to spare, from the third look on.
    def __init__(self, spare):
        self.spare = spare
    def __call__(self, contexts):
        by_name = {deployment.name: (deployment, context) for deployment, context in contexts.items()}
        (paced, seen), (behind, _) = by_name["Paced"], by_name["Behind"]
        assert seen.config.max_replicas == 4
        looks = seen.policy_state.get("looks", 0) + 1
        wanted = seen.current_num_replicas + self.spare if looks > 2 else 1
        return {behind: wanted}, {paced: {"looks": looks}}

steered = Paced.bind(Behind.bind())

@serve.deployment
class Level:
    def __call__(self, request: Request):
        return logging.getLevelName(logging.getLogger("ray.serve").getEffectiveLevel())

level = Level.bind()

def typed(args: Args):
    return Word.bind(args.word * args.times)

def plain(args: dict):
    return Word.bind(args["word"])

app = Shout.bind(Quiet.bind())
"""

CONFIG = """
proxy_location: HeadOnly
logging_config: {{log_level: WARNING}}
http_options:
  host: 127.0.0.1
  port: {port}
  keep_alive_timeout_s: 3
applications:
- name: typed
  route_prefix: /typed
  import_path: shop:typed
  args:
    word: hi
    times: 2
  deployments:
  - name: Word
    num_replicas: 1
    ray_actor_options:
      num_cpus: 0.1
    user_config:
      suffix: "!"
- name: plain
  route_prefix: /
  import_path: shop:plain
  args: {{word: moin}}
  deployments:
  - name: Word
    ray_actor_options: {{num_cpus: 0}}
- name: app
  route_prefix: /shout
  import_path: shop:app
  deployments:
  - name: Shout
    ray_actor_options: {{num_cpus: 0}}
  - name: Quiet
    ray_actor_options: {{num_cpus: 0}}
- name: packed
  route_prefix: /packed
  import_path: packed_shop:app
  runtime_env:
    working_dir: file://{folder}/working.zip
    py_modules: [file://{folder}/modules.zip]
  deployments:
  - name: Word
    ray_actor_options: {{num_cpus: 0}}
- name: level
  route_prefix: /level
  import_path: shop:level
  deployments:
  - name: Level
    ray_actor_options: {{num_cpus: 0}}
- name: other_level
  route_prefix: /other_level
  import_path: shop:level
  logging_config: {{log_level: ERROR}}
  deployments:
  - name: Level
    ray_actor_options: {{num_cpus: 0}}
- name: steered
  route_prefix: /steered
  import_path: shop:steered
  autoscaling_policy:
    policy_function: shop:Together
    policy_kwargs: {{spare: 2}}
  deployments:
  - name: Paced
    autoscaling_config: {{max_replicas: 4}}
    ray_actor_options: {{num_cpus: 0}}
  - name: Behind
    autoscaling_config: {{max_replicas: 4, upscale_delay_s: 0}}
    ray_actor_options: {{num_cpus: 0}}
"""


def command() -> list[str]:
    if find_spec("remora") is not None:
        return [sys.executable, "-m", "remora", "run"]
    return [str(Path(sys.executable).parent / "serve"), "run"]


PACKED = """
import packed_words
from ray import serve

@serve.deployment
class Word:
    def __call__(self, request):
        with open("notes.txt") as notes:
            return packed_words.WORD + notes.read()

app = Word.bind()
"""


def pack(path: Path, files: dict[str, str]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"top/{name}", text)


@contextmanager
def running(folder: Path, config: str):
    """Run the file until the block ends; yields what waits for an answer for as long as it runs."""
    pack(folder / "working.zip", {"packed_shop.py": PACKED, "notes.txt": " and its folder"})
    pack(folder / "modules.zip", {"packed_words/__init__.py": "WORD = 'from a module'\n"})
    (folder / "shop.py").write_text(CODE)
    (folder / "config.yaml").write_text(config)
    # A Ray of its own, in a folder whose name is short enough for sockets.
    env = {**os.environ, "RAY_TMPDIR": str(folder), "PYTHONPATH": str(folder)}
    with (folder / "output.txt").open("w") as output:
        process = subprocess.Popen(
            [*command(), "config.yaml"], cwd=folder, env=env, stdout=output, stderr=output, start_new_session=True
        )

    def until(asked, wanted, within_s=80):
        end = time.monotonic() + within_s
        while (found := asked()) != wanted:
            assert process.poll() is None, printed(folder)
            assert time.monotonic() < end, (found, printed(folder))
            time.sleep(0.3)

    try:
        yield until
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def printed(folder: Path) -> str:
    return (folder / "output.txt").read_text()


@pytest.fixture(scope="module")
def folder():
    made = Path(tempfile.mkdtemp(prefix="rf-", dir="/tmp"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def shop(folder):
    port = free_port()
    with (
        running(folder, CONFIG.format(port=port, folder=folder)) as until,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client,
    ):
        until(lambda: answers(client), True)
        yield client


def answers(client):
    try:
        # All routes first: what is not routed yet is answered by the application at the root.
        return len(client.get("/-/routes").json()) == 7 and all(
            client.get(path).status_code == 200
            for path in ("/", "/typed", "/shout", "/packed", "/steered", "/level", "/other_level")
        )
    except (httpx.TransportError, ValueError):
        return False


def test_a_builder_with_typed_arguments(shop):
    assert shop.get("/typed").text == "hihi!"


def test_a_builder_with_a_dict(shop):
    assert shop.get("/").text == "moin"


def test_an_application_of_several_deployments(shop):
    assert shop.get("/shout").text == "QUIET"


def test_an_idle_connection_ends_when_the_options_say(shop):
    with socket.create_connection((shop.base_url.host, shop.base_url.port), timeout=20) as connection:
        began, answer = time.monotonic(), b""
        connection.sendall(b"GET /-/healthz HTTP/1.1\r\nhost: a\r\n\r\n")
        while part := connection.recv(65536):
            answer += part
    assert b"success" in answer
    assert 2 < time.monotonic() - began < 20


def test_routes_of_all_applications(shop):
    names = {"/typed": "typed", "/": "plain", "/shout": "app", "/packed": "packed", "/steered": "steered"}
    names |= {"/level": "level", "/other_level": "other_level"}
    assert shop.get("/-/routes").json() == names


def test_a_whole_application_in_what_ray_sets_up(shop):
    assert shop.get("/packed").text == "from a module and its folder"


def test_logging_of_the_file_is_that_of_its_deployments(shop):
    assert (shop.get("/level").text, shop.get("/other_level").text) == ("WARNING", "ERROR")


def test_one_policy_for_the_whole_application(shop):
    seen = set()
    end = time.monotonic() + 60
    while len(seen) < 3:
        assert time.monotonic() < end, seen
        seen.add(shop.get("/steered").text)


HALF = """
proxy_location: HeadOnly
target_capacity: {percent}
http_options: {{host: 127.0.0.1, port: {port}}}
applications:
- name: half
  route_prefix: /half
  import_path: many:app
  deployments:
  - name: Listed
    num_replicas: 5
  - name: Scaled
    autoscaling_config: {{min_replicas: 2, initial_replicas: 6, max_replicas: 8}}
"""
MANY = """
from ray import serve

@serve.deployment(ray_actor_options={"num_cpus": 0})
class Front:
    def __init__(self, *others):
        pass
    def __call__(self, request):
        found = serve.status().applications["half"].deployments
        return {name: sum(it.replica_states.values()) for name, it in found.items()}

@serve.deployment(ray_actor_options={"num_cpus": 0})
class Listed:
    pass

@serve.deployment(num_replicas=3, ray_actor_options={"num_cpus": 0})
class InCode:
    pass

@serve.deployment(ray_actor_options={"num_cpus": 0})
class Scaled:
    pass

app = Front.bind(Listed.bind(), InCode.bind(), Scaled.bind())
"""


@pytest.mark.timeout(200)
def test_a_capacity_is_a_share_of_all_replicas(folder):
    port = free_port()
    (folder / "many.py").write_text(MANY)
    with (
        running(folder, HALF.format(port=port, percent=50)) as until,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client,
    ):
        until(lambda: counts(client), {"Front": 1, "Listed": 3, "InCode": 2, "Scaled": 4}, within_s=120)


def counts(client):
    try:
        answer = client.get("/half")
    except httpx.TransportError:
        return None
    return answer.json() if answer.status_code == 200 else None


def test_a_wrong_import_path_is_said(folder):
    inner = folder / "wrong"
    inner.mkdir()
    config = CONFIG.format(port=free_port(), folder=inner).replace("shop:app", "shop:nothing_there")
    with running(inner, config) as until:
        until(lambda: "nothing_there" in printed(inner), True)
