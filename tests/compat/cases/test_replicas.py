"""A replica's life: construction, settings, health, end."""

import asyncio
import os
import time

import pytest
from ray import serve
from ray.serve.exceptions import RayServeException  # noqa: F401 - the name is part of the case
from starlette.requests import Request


@serve.deployment(user_config={"word": "one"})
class Configured:
    def __init__(self):
        self.calls = []

    def reconfigure(self, config):
        self.calls.append(config)

    def __call__(self, request=None):
        return self.calls


def until(holds, timeout_s=20):
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.1)


def test_reconfigure_gets_the_user_config_after_construction(run):
    assert run(Configured.bind()).remote().result() == [{"word": "one"}]


def test_a_new_user_config_reaches_the_replicas(run):
    run(Configured.bind())
    handle = run(Configured.options(user_config={"word": "two"}).bind())
    assert handle.remote().result()[-1] == {"word": "two"}


def test_an_async_reconfigure(run):
    @serve.deployment(user_config={"n": 3})
    class Async:
        async def reconfigure(self, config):
            await asyncio.sleep(0.01)
            self.n = config["n"]

        def __call__(self):
            return self.n

    assert run(Async.bind()).remote().result() == 3


def test_reconfigure_is_not_called_without_a_user_config(run):
    @serve.deployment
    class None_:
        called = False

        def reconfigure(self, config):
            self.called = True

        def __call__(self):
            return self.called

    assert run(None_.bind()).remote().result() is False


def test_a_user_config_of_any_json(run):
    for config in ([1, 2], {"a": {"b": [None, 1.5, "x", True]}}):
        assert run(Configured.options(user_config=config).bind()).remote().result()[-1] == config


def test_a_user_config_without_reconfigure_fails_the_application(run):
    @serve.deployment(user_config={"a": 1})
    class Without:
        def __call__(self):
            return 1

    with pytest.raises(RuntimeError):
        run(Without.bind(), name="without")


def test_an_async_constructor(run):
    @serve.deployment
    class Async:
        async def __init__(self, value):
            await asyncio.sleep(0.01)
            self.value = value
            self.loop = asyncio.get_running_loop() is not None

        def __call__(self):
            return self.value, self.loop

    assert run(Async.bind(3)).remote().result() == (3, True)


def test_del_is_called_at_the_end(run, tmp_path):
    mark = tmp_path / "ended"

    @serve.deployment
    class Ends:
        def __del__(self):
            mark.write_text("yes")

        def __call__(self):
            return 1

    run(Ends.bind(), name="ends").remote().result()
    serve.delete("ends")
    until(mark.exists)


def test_an_async_del_is_awaited(run, tmp_path):
    mark = tmp_path / "ended"

    @serve.deployment
    class Ends:
        async def __del__(self):
            await asyncio.sleep(0.01)
            mark.write_text("yes")

        def __call__(self):
            return 1

    run(Ends.bind(), name="ends").remote().result()
    serve.delete("ends")
    until(mark.exists)


def test_requests_finish_before_the_end(run, tmp_path):
    begun = tmp_path / "begun"

    @serve.deployment
    class Slow:
        async def __call__(self):
            begun.write_text("yes")
            await asyncio.sleep(2)
            return "finished"

    response = run(Slow.bind(), name="slow").remote()
    until(begun.exists)
    serve.delete("slow")
    assert response.result(timeout_s=10) == "finished"


def test_check_health_is_called(run, tmp_path):
    mark = tmp_path / "checked"

    @serve.deployment(health_check_period_s=0.5)
    class Checked:
        def check_health(self):
            mark.write_text("yes")

        def __call__(self):
            return 1

    run(Checked.bind())
    until(mark.exists)


def test_an_unhealthy_replica_is_replaced(run):
    @serve.deployment(health_check_period_s=0.5, health_check_timeout_s=2, graceful_shutdown_timeout_s=1)
    class Sick:
        sick = False

        def check_health(self):
            if self.sick:
                raise RuntimeError("feeling unwell")

        def fall_ill(self):
            self.sick = True

        def pid(self):
            return os.getpid()

    handle = run(Sick.bind())
    before = handle.pid.remote().result()
    handle.fall_ill.remote().result()
    until(lambda: handle.pid.remote().result(timeout_s=20) != before, 40)


def test_an_async_check_health(run, tmp_path):
    mark = tmp_path / "checked"

    @serve.deployment(health_check_period_s=0.5)
    class Checked:
        async def check_health(self):
            mark.write_text("yes")

        def __call__(self):
            return 1

    run(Checked.bind())
    until(mark.exists)


def test_a_dead_replica_is_replaced(run):
    @serve.deployment(health_check_period_s=0.5)
    class Dies:
        def die(self):
            os._exit(1)

        def pid(self):
            return os.getpid()

    handle = run(Dies.bind())
    before = handle.pid.remote().result()
    with pytest.raises(Exception):
        handle.die.remote().result(timeout_s=30)

    def replaced():
        try:
            return handle.pid.remote().result(timeout_s=20) != before
        except Exception:
            return False

    until(replaced, 40)


def test_a_constructor_that_raises_fails_the_application(run):
    @serve.deployment(max_constructor_retry_count=1)
    class Broken:
        def __init__(self):
            raise ValueError("no weights here")

        def __call__(self):
            return 1

    with pytest.raises(RuntimeError):
        run(Broken.bind(), name="broken")
    application = serve.status().applications["broken"]
    assert application.status == "DEPLOY_FAILED"
    assert "no weights here" in application.deployments["Broken"].message


def test_a_constructor_that_raises_at_first_is_tried_again(run, tmp_path):
    mark = tmp_path / "tried"

    @serve.deployment(max_constructor_retry_count=5)
    class Shy:
        def __init__(self):
            if not mark.exists():
                mark.write_text("yes")
                raise ValueError("not yet")

        def __call__(self):
            return "here"

    assert run(Shy.bind()).remote().result(timeout_s=30) == "here"


def test_a_failed_application_does_not_harm_another(run):
    @serve.deployment(max_constructor_retry_count=1)
    class Broken:
        def __init__(self):
            raise ValueError("no weights here")

    good = run(Configured.bind(), name="good", route_prefix="/good")
    with pytest.raises(RuntimeError):
        run(Broken.bind(), name="broken", route_prefix="/broken")
    assert good.remote().result() == [{"word": "one"}]


def test_max_ongoing_requests_bounds_what_a_replica_does(run):
    @serve.deployment(max_ongoing_requests=2)
    class Counts:
        def __init__(self):
            self.now = self.most = 0

        async def work(self):
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0.2)
            self.now -= 1

        async def peak(self):
            return self.most

    handle = run(Counts.bind())
    for response in [handle.work.remote() for _ in range(6)]:
        response.result(timeout_s=20)
    assert handle.peak.remote().result() == 2


def test_plain_methods_run_beside_each_other(run):
    import threading

    @serve.deployment(max_ongoing_requests=2)
    class Meets:
        def __init__(self):
            self.barrier = threading.Barrier(2)

        def meet(self):
            return self.barrier.wait(timeout=10) in (0, 1)

    handle = run(Meets.bind())
    assert [response.result() for response in [handle.meet.remote(), handle.meet.remote()]] == [True, True]


def test_a_replica_that_dies_at_work_is_a_500_and_is_replaced(run, http):
    @serve.deployment
    class Mortal:
        def __call__(self, request: Request):
            if request.url.path == "/die":
                os._exit(1)
            return "alive"

    run(Mortal.bind())
    assert http.get("/").text == "alive"
    assert http.get("/die").status_code == 500
    end = time.monotonic() + 60
    while (answer := http.get("/")).status_code != 200:
        assert time.monotonic() < end, answer.text
        time.sleep(0.2)
    assert answer.text == "alive"


def test_a_node_may_hold_one_replica_and_a_new_version_takes_its_place(run):
    @serve.deployment(max_replicas_per_node=1, graceful_shutdown_timeout_s=0.1)
    class Alone:
        def __init__(self, version):
            self.version = version

        def __call__(self):
            return self.version

    assert run(Alone.bind("one")).remote().result() == "one"
    assert run(Alone.bind("two")).remote().result() == "two"
    pair = Alone.options(max_replicas_per_node=2, num_replicas=2)
    assert run(pair.bind("two"), name="pair", route_prefix="/pair").remote().result() == "two"
    assert serve.status().applications["pair"].deployments["Alone"].replica_states == {"RUNNING": 2}


def test_parts_of_a_deployment_are_replaced(run):
    class Numbered:
        def __init__(self, number):
            self.number = number

        def __call__(self):
            return self.number

    for number, options in enumerate(
        ({}, {"max_surge_percent": 50}, {"max_surge_percent": 0, "rolling_update_percentage": 0.5})
    ):
        made = serve.deployment(num_replicas=4, graceful_shutdown_timeout_s=0.1, **options)(Numbered)
        handle = run(made.bind(number))
        until(lambda handle=handle, number=number: {handle.remote().result() for _ in range(8)} == {number}, 40)
    for wrong in ({"rolling_update_percentage": 0}, {"rolling_update_percentage": 2}, {"max_surge_percent": 101}):
        with pytest.raises(ValueError):
            serve.deployment(**wrong)(Numbered)


def test_a_constructor_may_fail_so_often(run, tmp_path):
    tries = tmp_path / "tries"

    @serve.deployment(max_constructor_retry_count=1)
    class Broken:
        def __init__(self):
            with open(tries, "a") as file:
                file.write(".")
            raise ValueError("no weights here")

    with pytest.raises(RuntimeError):
        run(Broken.bind(), name="broken")
    assert tries.read_text() == "."
    with pytest.raises(ValueError):
        Broken.options(max_constructor_retry_count=0)
