"""serve.run, run_many, delete, status, handles by name, the context of a replica."""

import concurrent.futures
import os
import threading
import time

import httpx
import pytest
import ray
from ray import serve
from ray.serve.exceptions import RayServeException
from ray.serve.schema import ReplicaRank


@serve.deployment
class Word:
    def __init__(self, word="moin"):
        self.word = word

    def __call__(self, request=None):
        return self.word

    def context(self):
        context = serve.get_replica_context()
        return {
            "app_name": context.app_name,
            "deployment": context.deployment,
            "replica_tag": context.replica_tag,
            "rank": context.rank.rank,
            "world_size": context.world_size,
            "is_rank": isinstance(context.rank, ReplicaRank),
            "gang": context.gang_context,
            "self": context.servable_object is self,
        }

    def own_id(self):
        context = serve.get_replica_context()
        own = context.replica_id
        of = own.deployment_id
        return {"name": of.name, "app_name": of.app_name, "is_tag": own.unique_id == context.replica_tag}

    def letters(self):
        yield from self.word

    def fails(self):
        raise KeyError("no such word")

    def of_another(self):
        return serve.get_deployment_handle("Word", "second").remote().result()

    def seen_from_inside(self):
        return serve.status().applications["word"].status.value

    def of_my_own(self):
        return serve.get_deployment_handle("Word").deployment_name

    def pid(self):
        return os.getpid()


@pytest.fixture(scope="module")
def word(share):
    return share(Word.bind(), "word")


def until(holds, timeout_s=20):
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def test_run_returns_a_handle_of_the_ingress(run):
    assert run(Word.bind("hi")).remote().result() == "hi"


def test_run_again_replaces_the_application(run, http):
    run(Word.bind("one"))
    assert http.get("/").text == "one"
    handle = run(Word.bind("two"))
    assert handle.remote().result() == "two"
    assert http.get("/").text == "two"


def test_a_handle_outlives_its_applications_next_version(run):
    handle = run(Word.bind("one"))
    run(Word.bind("two"))
    assert handle.remote().result() == "two"


def test_run_many_runs_all(instance, http):
    targets = [serve.RunTarget(Word.bind(name), name=name, route_prefix=f"/{name}") for name in ("first", "second")]
    try:
        handles = serve.run_many(targets)
        assert [handle.remote().result() for handle in handles] == ["first", "second"]
        assert (http.get("/first").text, http.get("/second").text) == ("first", "second")
    finally:
        serve.delete("first")
        serve.delete("second")


def test_run_many_of_nothing_is_a_value_error(instance):
    with pytest.raises(ValueError):
        serve.run_many([])


def test_run_of_something_else_is_a_type_error(instance):
    for wrong in (Word, "Word", Word.func_or_class, None):
        with pytest.raises(TypeError):
            serve.run(wrong)


def test_an_empty_name_is_refused(instance):
    with pytest.raises(RayServeException, match=r"(?i)name"):
        serve.run(Word.bind(), name="")


def test_a_route_prefix_begins_with_a_slash(instance):
    with pytest.raises(ValueError, match="route_prefix"):
        serve.run(Word.bind(), route_prefix="word")


def test_a_route_prefix_does_not_end_with_a_slash(instance):
    with pytest.raises(ValueError, match="route_prefix"):
        serve.run(Word.bind(), route_prefix="/word/")


def test_a_route_prefix_has_no_wildcards(instance):
    with pytest.raises(ValueError, match="route_prefix"):
        serve.run(Word.bind(), route_prefix="/{word}")


def test_a_route_prefix_belongs_to_one_application(word):
    with pytest.raises(Exception, match="/word"):
        serve.run(Word.bind(), name="thief", route_prefix="/word")
    assert "thief" not in serve.status().applications
    assert serve.get_app_handle("word").remote().result() == "moin"


def test_start_again_is_harmless(word):
    serve.start()
    assert word.remote().result() == "moin"


def test_status_of_an_application(word):
    status = serve.status()
    application = status.applications["word"]
    assert application.status == "RUNNING"
    assert application.message == ""
    assert time.time() - 3600 < application.last_deployed_time_s <= time.time()


def test_status_of_deployments(word):
    deployments = serve.status().applications["word"].deployments
    assert list(deployments) == ["Word"]
    assert deployments["Word"].status == "HEALTHY"
    assert deployments["Word"].replica_states == {"RUNNING": 1}


def test_status_is_there_inside_replicas(word):
    assert word.seen_from_inside.remote().result() == "RUNNING"


def test_status_of_proxies(word):
    proxies = serve.status().proxies
    assert len(proxies) == 1
    assert set(proxies.values()) == {"HEALTHY"}


def test_a_deleted_application_leaves_the_status(run):
    run(Word.bind(), name="gone", route_prefix="/gone")
    assert "gone" in serve.status().applications
    serve.delete("gone")
    assert "gone" not in serve.status().applications


def test_deleting_what_is_not_there_is_harmless(word):
    serve.delete("nobody")
    assert word.remote().result() == "moin"


def test_get_app_handle(word):
    assert serve.get_app_handle("word").remote().result() == "moin"


def test_get_app_handle_of_nobody(word):
    with pytest.raises(RayServeException, match="nobody"):
        serve.get_app_handle("nobody")


def test_get_deployment_handle(word):
    assert serve.get_deployment_handle("Word", "word").remote().result() == "moin"


def test_get_deployment_handle_needs_an_application_outside(word):
    with pytest.raises(RayServeException, match="application"):
        serve.get_deployment_handle("Word")


def test_get_deployment_handle_of_nobody(word):
    with pytest.raises(Exception, match="Nobody"):
        serve.get_deployment_handle("Nobody", "word")


def test_get_deployment_handle_inside_is_of_the_own_application(word):
    assert word.of_my_own.remote().result() == "Word"


def test_one_application_calls_another(run, word):
    run(Word.bind("second"), name="second", route_prefix="/second")
    assert word.of_another.remote().result() == "second"


def test_the_replica_context(word):
    found = word.context.remote().result()
    tag = found.pop("replica_tag")
    assert tag
    where = {"app_name": "word", "deployment": "Word", "rank": 0, "world_size": 1}
    assert found == {**where, "is_rank": True, "gang": None, "self": True}


def test_a_replica_knows_its_id(word):
    assert word.own_id.remote().result() == {"name": "Word", "app_name": "word", "is_tag": True}


def test_there_is_no_replica_context_outside(word):
    with pytest.raises(RayServeException, match="get_replica_context"):
        serve.get_replica_context()


def test_replicas_are_processes_of_their_own(run):
    handle = run(Word.options(num_replicas=2).bind())
    pids = {handle.pid.remote().result() for _ in range(60)}
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_run_again_changes_the_number_of_replicas(run):
    run(Word.bind())
    handle = run(Word.options(num_replicas=2).bind())
    until(lambda: len({handle.pid.remote().result() for _ in range(20)}) == 2)


def test_ray_itself_goes_on(word):
    @ray.remote
    def twice(x):
        return 2 * x

    assert ray.get(twice.remote(2)) == 4


def test_a_ray_task_uses_a_handle(word):
    @ray.remote
    def ask(handle):
        return handle.remote().result()

    assert ray.get(ask.remote(word)) == "moin"


def test_an_actor_of_ray_uses_a_handle_again_and_again(word):
    @ray.remote
    class Asker:
        def __init__(self, handle):
            self.handle = handle

        async def ask(self):
            return await self.handle.remote()

        async def count(self):
            return [item async for item in self.handle.options(method_name="letters", stream=True).remote()]

    asker = Asker.options(num_cpus=0).remote(word)
    try:
        assert ray.get([asker.ask.remote() for _ in range(3)]) == ["moin"] * 3
        assert ray.get(asker.count.remote()) == ["m", "o", "i", "n"]
    finally:
        ray.kill(asker)


def test_a_ray_task_hears_what_a_replica_raises(word):
    @ray.remote
    def ask(handle):
        try:
            handle.fails.remote().result()
        except KeyError as error:
            return str(error)

    assert "no such word" in ray.get(ask.remote(word))


def test_a_new_application_takes_paths_from_another_once_it_serves(run, http):
    run(Word.bind("outer"), name="outer", route_prefix="/around")
    seen = []
    served = threading.Event()

    def ask():
        with httpx.Client(base_url=http.base_url, timeout=20) as client:
            while not (served.is_set() and seen[-1] == (200, "inner")):
                answer = client.get("/around/it")
                seen.append((answer.status_code, answer.text))

    with concurrent.futures.ThreadPoolExecutor(1) as elsewhere:
        asking = elsewhere.submit(ask)
        until(lambda: seen)
        run(Word.bind("inner"), name="inner", route_prefix="/around/it")
        served.set()
        asking.result(30)
    assert set(seen) == {(200, "outer"), (200, "inner")}


TLS_PROGRAM = """
import socket, sys
try:
    from remora.compat import alias; alias.install()
except ModuleNotFoundError:
    pass
import httpx
from ray import serve
from starlette.requests import Request

@serve.deployment(ray_actor_options={"num_cpus": 0})
def tell(request: Request):
    return f"{request.url.scheme} {request.url.port}"

with socket.socket() as one:
    one.bind(("127.0.0.1", 0))
    port = one.getsockname()[1]
certificate, key = sys.argv[1:]
serve.start(http_options={"host": "127.0.0.1", "port": port, "ssl_certfile": certificate, "ssl_keyfile": key})
serve.run(tell.bind())
import ssl
trusting = ssl.create_default_context(cafile=certificate)
answer = httpx.get(f"https://127.0.0.1:{port}/", verify=trusting, timeout=30)
print("answer", answer.text == f"https {port}", answer.status_code)
serve.shutdown()
"""


def test_https(tmp_path):
    import subprocess
    import sys

    certificate, key = tmp_path / "server.crt", tmp_path / "server.key"
    made = ("-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=a", "-addext", "subjectAltName=IP:127.0.0.1")
    where = ("-keyout", key, "-out", certificate)
    subprocess.run(["openssl", "req", "-x509", *made, *where], check=True, capture_output=True)
    program = tmp_path / "program.py"
    program.write_text(TLS_PROGRAM)
    done = subprocess.run([sys.executable, program, certificate, key], capture_output=True, text=True, timeout=80)
    assert "answer True 200" in done.stdout, done.stderr[-2000:]


def test_serve_starts_anew_after_shutdown(instance):
    """Last in its file: everything that is shared has to be made again."""
    import subprocess
    import sys

    code = (
        "import ray\n"
        "try:\n"
        "    from remora.compat import alias; alias.install()\n"
        "except ModuleNotFoundError: pass\n"
        "from ray import serve\n"
        "@serve.deployment(ray_actor_options={'num_cpus': 0})\n"
        "def f(request=None): return 'served'\n"
        "for port in (0, 0):\n"
        "    import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); port = s.getsockname()[1]; s.close()\n"
        "    serve.start(http_options={'host': '127.0.0.1', 'port': port})\n"
        "    handle = serve.run(f.bind())\n"
        "    print('answer', handle.remote().result(), serve.status().applications['default'].status.value)\n"
        "    serve.shutdown()\n"
        "    print('after', len(serve.status().applications))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=80)
    said = [line for line in done.stdout.splitlines() if line.startswith(("answer", "after"))]
    assert said == ["answer served RUNNING", "after 0"] * 2, done.stderr[-2000:]
