"""serve.metrics, logging of replicas, tracing context."""

import json
import logging

import pytest
from ray import serve
from ray.serve import metrics


@serve.deployment
class Measured:
    def __init__(self):
        self.counter = metrics.Counter("compat_calls", description="calls", tag_keys=("kind",))
        self.counter.set_default_tags({"kind": "plain"})
        self.gauge = metrics.Gauge("compat_level", description="level")
        self.histogram = metrics.Histogram(
            "compat_seconds", description="time", boundaries=[0.1, 1, 10], tag_keys=("a",)
        )

    def __call__(self, request=None):
        self.counter.inc()
        self.counter.inc(2, tags={"kind": "other"})
        self.gauge.set(5)
        self.histogram.observe(0.5, tags={"a": "b"})
        return "measured"

    def not_positive(self):
        self.counter.inc(0)

    def tags_as_list(self):
        metrics.Counter("compat_list", tag_keys=["a"])

    def reserved(self):
        metrics.Counter("compat_reserved", tag_keys=("deployment",)).set_default_tags({"deployment": "x"})


@pytest.fixture(scope="module")
def measured(share):
    return share(Measured.bind(), "measured")


def test_counters_gauges_and_histograms(measured):
    assert measured.remote().result() == "measured"


def test_a_counter_only_goes_up(measured):
    with pytest.raises(ValueError):
        measured.not_positive.remote().result()


def test_tag_keys_are_a_tuple(measured):
    with pytest.raises(TypeError, match="tag_keys"):
        measured.tags_as_list.remote().result()


def test_serves_own_tags_are_reserved(measured):
    with pytest.raises(ValueError, match="deployment"):
        measured.reserved.remote().result()


def test_metrics_work_outside_of_replicas(instance):
    counter = metrics.Counter("compat_outside", tag_keys=("a",))
    counter.inc(tags={"a": "b"})


def test_the_logger_has_the_level_that_was_configured(run):
    @serve.deployment(logging_config={"log_level": "DEBUG"})
    class Talks:
        def __call__(self, request=None):
            logger = logging.getLogger("ray.serve")
            logger.debug("said")
            return logger.getEffectiveLevel() == logging.DEBUG

    assert run(Talks.bind()).remote().result() is True


def test_the_level_of_the_application_holds_for_its_deployments(run):
    @serve.deployment
    class Talks:
        def __call__(self, request=None):
            return logging.getLogger("ray.serve").getEffectiveLevel()

    assert run(Talks.bind(), logging_config={"log_level": "ERROR"}).remote().result() == logging.ERROR


def test_a_replica_logs_to_the_folder_that_was_configured(run, tmp_path):
    @serve.deployment(logging_config={"logs_dir": str(tmp_path), "encoding": "JSON"})
    class Talks:
        def __call__(self, request=None):
            logging.getLogger("ray.serve").warning("a word for the file")
            return 1

    run(Talks.bind()).remote().result()
    written = [path.read_text() for path in tmp_path.rglob("*.log")]
    lines = [line for text in written for line in text.splitlines() if "a word for the file" in line]
    assert lines
    entry = json.loads(lines[0])
    assert entry["message"] == "a word for the file"
    assert entry["levelname"] == "WARNING"
    assert entry["deployment"].endswith("Talks")


def test_there_is_no_trace_context_without_tracing(instance):
    assert serve.get_trace_context() is None
