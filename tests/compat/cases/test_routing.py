"""Request routers and autoscaling of users' own."""

import asyncio
import http.server
import json
import threading
import time
import urllib.parse
from typing import ClassVar

import pytest
from ray import serve
from ray.serve.autoscaling_policy import PrometheusQueryMixin, PrometheusSample, PrometheusScalar, PrometheusVector
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy, RequestRouterConfig
from ray.serve.request_router import FIFOMixin, MultiplexMixin, PendingRequest, ReplicaID, RequestRouter, RunningReplica


class Lowest(RequestRouter):
    """Always the replica whose id is the lowest."""

    async def choose_replicas(self, candidate_replicas, pending_request=None):
        return [[min(candidate_replicas, key=lambda replica: replica.replica_id.unique_id)]]


class WithKwargs(FIFOMixin, RequestRouter):
    def initialize_state(self, **kwargs):
        self.which = kwargs["which"]

    async def choose_replicas(self, candidate_replicas, pending_request=None):
        ordered = sorted(candidate_replicas, key=lambda replica: replica.replica_id.unique_id)
        return [[ordered[self.which]]]


class ByArgument(FIFOMixin, RequestRouter):
    """The request's first argument says which."""

    async def choose_replicas(self, candidate_replicas, pending_request=None):
        ordered = sorted(candidate_replicas, key=lambda replica: replica.replica_id.unique_id)
        return [[ordered[pending_request.args[0]]]]


@serve.deployment(num_replicas=3)
class Who:
    def __call__(self, which=0):
        return serve.get_replica_context().replica_tag


def two(context):
    return 2, {}


def until(holds, timeout_s=30):
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.1)


def test_what_a_hook_hears_has_a_name():
    from ray.serve.request_router import ReplicaResult

    assert isinstance(ReplicaResult, type)


def test_the_default_router_uses_all_replicas(run):
    handle = run(Who.bind())
    assert len({handle.remote().result() for _ in range(60)}) == 3


def test_replicas_in_turns(run):
    config = RequestRouterConfig(request_router_class="ray.serve.experimental.round_robin_router:RoundRobinRouter")
    handle = run(Who.options(request_router_config=config).bind(), name="turns")
    handle.remote().result()
    found = [handle.remote().result() for _ in range(9)]
    assert {found.count(replica) for replica in found} == {3}
    assert found[:3] == found[3:6] == found[6:]


def test_a_session_stays_on_its_replica(run):
    from ray.serve.experimental.consistent_hash_router import ConsistentHashRouter

    config = RequestRouterConfig(
        request_router_class=ConsistentHashRouter, request_router_kwargs={"num_fallback_replicas": 0}
    )
    handle = run(Who.options(request_router_config=config).bind(), name="ring")
    handle.remote().result()
    places = [
        {handle.options(session_id=f"session {number}").remote().result() for _ in range(3)} for number in range(20)
    ]
    assert all(len(place) == 1 for place in places)
    assert len(set.union(*places)) == 3


def test_fields_of_a_router_config_that_are_not_known_are_passed_over(run):
    handle = run(Who.options(request_router_config={"no_such_field": 1}).bind(), name="extra")
    assert handle.remote().result()
    assert RequestRouterConfig(no_such_field=1).request_router_kwargs == {}


def test_a_router_of_the_users_own_decides(run):
    config = RequestRouterConfig(request_router_class=Lowest)
    handle = run(Who.options(request_router_config=config).bind(), name="lowest")
    assert len({handle.remote().result() for _ in range(20)}) == 1


def test_a_router_gets_its_kwargs(run):
    config = RequestRouterConfig(request_router_class=WithKwargs, request_router_kwargs={"which": 1})
    handle = run(Who.options(request_router_config=config).bind(), name="kwargs")
    assert len({handle.remote().result() for _ in range(20)}) == 1


def test_a_router_sees_the_arguments(run):
    config = RequestRouterConfig(request_router_class=ByArgument)
    handle = run(Who.options(request_router_config=config).bind(), name="arguments")
    found = [handle.remote(which).result() for which in (0, 1, 2, 0, 1, 2)]
    assert len(set(found)) == 3
    assert found[:3] == found[3:]


def test_names_that_routers_are_made_of():
    assert all((MultiplexMixin, PendingRequest, ReplicaID, RunningReplica))


def test_load_adds_replicas(run):
    @serve.deployment(
        max_ongoing_requests=10,
        autoscaling_config={
            "min_replicas": 1,
            "max_replicas": 2,
            "target_ongoing_requests": 1,
            "upscale_delay_s": 0.2,
            "look_back_period_s": 1,
            "metrics_interval_s": 0.2,
        },
    )
    class Busy:
        async def __call__(self, request=None):
            await asyncio.sleep(8)
            return 1

    handle = run(Busy.bind(), name="busy", route_prefix="/busy")
    responses = [handle.remote() for _ in range(6)]
    until(lambda: serve.status().applications["busy"].deployments["Busy"].replica_states.get("RUNNING") == 2)
    for response in responses:
        response.cancel()


def test_autoscaling_starts_with_its_initial_replicas(run):
    @serve.deployment(autoscaling_config={"min_replicas": 1, "initial_replicas": 2, "max_replicas": 3})
    class Some:
        def __call__(self, request=None):
            return 1

    run(Some.bind(), name="some", route_prefix="/some")
    assert serve.status().applications["some"].deployments["Some"].replica_states == {"RUNNING": 2}


def test_scaled_to_zero_it_starts_with_the_first_request(run):
    @serve.deployment(autoscaling_config={"min_replicas": 0, "initial_replicas": 0, "max_replicas": 1})
    class Sleeps:
        def __call__(self, request=None):
            return "woken"

    handle = run(Sleeps.bind(), name="sleeps", route_prefix="/sleeps")
    assert serve.status().applications["sleeps"].deployments["Sleeps"].replica_states.get("RUNNING", 0) == 0
    assert handle.remote().result(timeout_s=60) == "woken"


def test_a_policy_of_the_users_own_decides(run):
    config = AutoscalingConfig(
        min_replicas=1,
        max_replicas=3,
        upscale_delay_s=0,
        metrics_interval_s=0.2,
        look_back_period_s=1,
        policy=AutoscalingPolicy(policy_function=two),
    )

    @serve.deployment(autoscaling_config=config)
    class Scaled:
        def __call__(self, request=None):
            return 1

    run(Scaled.bind(), name="scaled", route_prefix="/scaled")
    until(lambda: serve.status().applications["scaled"].deployments["Scaled"].replica_states.get("RUNNING") == 2)


def one_to_spare(context):
    from ray.serve.autoscaling_policy import default_autoscaling_policy

    wanted, state = default_autoscaling_policy(context)
    return wanted + 1, state


def test_a_policy_builds_on_the_default_one(run):
    config = AutoscalingConfig(
        min_replicas=1,
        max_replicas=6,
        target_ongoing_requests=2,
        upscale_delay_s=0,
        metrics_interval_s=0.2,
        # Long enough for a busy machine: Ray Serve takes reports that are older than this for none.
        look_back_period_s=5,
        policy=AutoscalingPolicy(policy_function=one_to_spare),
    )

    @serve.deployment(autoscaling_config=config, max_ongoing_requests=10)
    class Spared:
        async def __call__(self, request=None):
            await asyncio.sleep(600)

    handle = run(Spared.bind(), name="spared", route_prefix="/spared")
    responses = [handle.remote() for _ in range(3)]
    states = lambda: serve.status().applications["spared"].deployments["Spared"].replica_states  # noqa: E731
    # At least: on Ray Serve it goes on to six.
    until(lambda: states().get("RUNNING", 0) >= 3, timeout_s=70)
    for response in responses:
        response.cancel()


def as_recorded(context):
    depths = context.aggregated_metrics.get("depth") or {}
    return max(depths.values(), default=1), {}


def test_a_policy_goes_by_what_replicas_record(run):
    config = AutoscalingConfig(
        min_replicas=1,
        max_replicas=5,
        upscale_delay_s=0,
        metrics_interval_s=0.2,
        look_back_period_s=30,
        policy=AutoscalingPolicy(policy_function=as_recorded),
    )

    @serve.deployment(autoscaling_config=config)
    class Records:
        def record_autoscaling_stats(self):
            return {"depth": 2}

    run(Records.bind(), name="records", route_prefix="/records")
    until(lambda: serve.status().applications["records"].deployments["Records"].replica_states.get("RUNNING") == 2)


class Polls:
    """Begins a task on the loop that it is asked on, and says what the task has found."""

    def __init__(self, found):
        self.found = found
        self.wanted = 1
        self.task = None

    async def poll(self):
        await asyncio.sleep(0.1)
        self.wanted = self.found

    def __call__(self, context):
        if self.task is None:
            self.task = asyncio.get_running_loop().create_task(self.poll())
        return self.wanted, {}


def test_a_policy_may_have_tasks_of_its_own(run):
    policy = AutoscalingPolicy(policy_function=Polls, policy_kwargs={"found": 2})
    config = AutoscalingConfig(
        min_replicas=1, max_replicas=5, upscale_delay_s=0, metrics_interval_s=0.2, look_back_period_s=1, policy=policy
    )

    @serve.deployment(autoscaling_config=config)
    class Polled:
        def __call__(self):
            return 1

    run(Polled.bind(), name="polled", route_prefix="/polled")
    until(lambda: serve.status().applications["polled"].deployments["Polled"].replica_states.get("RUNNING") == 2)


def test_a_router_that_is_no_router_is_refused():
    with pytest.raises(Exception):
        serve.deployment(request_router_config={"request_router_class": 5})(Who.func_or_class)


PROMETHEUS = {
    "one": {"resultType": "scalar", "result": [1700000000.5, "3"]},
    "single": {"resultType": "vector", "result": [{"metric": {"job": "a"}, "value": [1700000000, "4.5"]}]},
    "several": {
        "resultType": "vector",
        "result": [
            {"metric": {"job": "a"}, "value": [1700000000, "1"]},
            {"metric": {"job": "b"}, "value": [1700000000, "2"]},
            {"metric": {"job": "c"}, "value": [1700000000, "NaN"]},
        ],
    },
    "none": {"resultType": "vector", "result": []},
    "nan": {"resultType": "scalar", "result": [1700000000, "NaN"]},
    "matrix": {"resultType": "matrix", "result": []},
}


class Prometheus(http.server.BaseHTTPRequestHandler):
    heard: ClassVar = []

    def do_GET(self):
        path, _, query = self.path.partition("?")
        asked = urllib.parse.parse_qs(query)["query"][0]
        self.heard.append((path, self.headers["x-scope"]))
        data = PROMETHEUS.get(asked)
        body = json.dumps({"status": "success", "data": data} if data else {"status": "error", "error": "odd"})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


def test_a_policy_finds_what_prometheus_says(monkeypatch):
    class Base:
        def __init__(self, word):
            self.word = word

    class Policy(PrometheusQueryMixin, Base):
        pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Prometheus) as server:
        threading.Thread(target=server.serve_forever).start()
        monkeypatch.setenv("RAY_PROMETHEUS_HOST", f"127.0.0.1:{server.server_port}/")
        monkeypatch.setenv("RAY_PROMETHEUS_HEADERS", '[["x-scope", "shop"]]')
        policy = Policy(prometheus_queries=[*PROMETHEUS, "refused"], fetch_interval_s=0.1, word="hi")
        stale = Policy(prometheus_queries=["one"], fetch_interval_s=600, cache_ttl_s=0, word="hi")
        try:
            assert policy.word == "hi"
            assert stale.prometheus_results is None
            end = time.monotonic() + 10
            while len(policy.prometheus_results or ()) < 4:
                assert time.monotonic() < end
                time.sleep(0.02)
            # While the server answers: what is asked a tenth of a second later, and in vain, leaves nothing behind.
            found, metrics = policy.prometheus_results, policy.prometheus_metrics
            assert stale.prometheus_results is None
        finally:
            server.shutdown()
    assert set(Prometheus.heard) == {("/api/v1/query", "shop")}
    assert set(found) == {"one", "single", "several", "none"}
    assert found["one"] == PrometheusScalar(value=3.0, timestamp=1700000000.5)
    assert [(dict(it.labels), it.value) for it in found["several"].samples] == [({"job": "a"}, 1), ({"job": "b"}, 2)]
    assert isinstance(found["several"].samples[0], PrometheusSample)
    assert found["none"] == PrometheusVector(samples=())
    assert metrics == {"one": 3.0, "single": 4.5}


def test_a_policy_without_prometheus_has_no_results(monkeypatch):
    monkeypatch.delenv("RAY_PROMETHEUS_HOST", raising=False)
    policy = PrometheusQueryMixin(prometheus_queries=["one"])
    assert (policy.prometheus_results, policy.prometheus_metrics) == (None, None)
