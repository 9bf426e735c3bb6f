"""Values that users construct: options of HTTP, gRPC, autoscaling, logging, routers."""

import pytest
from ray import serve
from ray.serve.config import (
    AggregationFunction,
    AutoscalingConfig,
    AutoscalingPolicy,
    BackpressureConfig,
    HTTPOptions,
    ProxyLocation,
    RequestRouterConfig,
    gRPCOptions,
)
from ray.serve.schema import EncodingType, LoggingConfig, TracingConfig


def policy(context):
    return context.current_num_replicas, {}


def test_http_options_have_defaults():
    options = HTTPOptions()
    assert (options.host, options.port, options.root_path) == ("127.0.0.1", 8000, "")
    assert options.request_timeout_s is None
    assert serve.HTTPOptions is HTTPOptions


def test_http_options_keep_what_is_given():
    options = HTTPOptions(host="0.0.0.0", port=9000, request_timeout_s=3)
    assert (options.host, options.port, options.request_timeout_s) == ("0.0.0.0", 9000, 3)


def test_http_options_want_a_key_beside_the_certificate():
    options = HTTPOptions(ssl_certfile="a.crt", ssl_keyfile="a.key")
    assert (options.ssl_certfile, options.ssl_keyfile) == ("a.crt", "a.key")
    with pytest.raises(ValueError, match="ssl_certfile"):
        HTTPOptions(ssl_certfile="a.crt")


def test_http_options_check_types():
    with pytest.raises(ValueError, match="port"):
        HTTPOptions(port="many")


def test_grpc_options_have_defaults():
    options = gRPCOptions()
    assert (options.port, options.grpc_servicer_functions, options.request_timeout_s) == (9000, [], None)


def test_autoscaling_has_defaults():
    config = AutoscalingConfig()
    assert (config.min_replicas, config.max_replicas, config.initial_replicas) == (1, 1, None)
    assert config.target_ongoing_requests == 2
    assert (config.upscale_delay_s, config.downscale_delay_s, config.look_back_period_s) == (30, 600, 30)


def test_autoscaling_bounds_are_checked():
    with pytest.raises(ValueError, match="max_replicas"):
        AutoscalingConfig(min_replicas=5, max_replicas=2)
    with pytest.raises(ValueError, match="initial_replicas"):
        AutoscalingConfig(min_replicas=1, max_replicas=2, initial_replicas=3)


def test_autoscaling_numbers_are_checked():
    for wrong in ({"min_replicas": -1}, {"max_replicas": 0}, {"target_ongoing_requests": 0}, {"upscale_delay_s": -1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            AutoscalingConfig(**wrong)


def test_autoscaling_is_checked_by_the_decorator():
    with pytest.raises(ValueError, match="max_replicas"):
        serve.deployment(autoscaling_config={"min_replicas": 5, "max_replicas": 2})(policy)


def test_autoscaling_takes_a_policy_of_the_users_own():
    config = AutoscalingConfig(max_replicas=3, policy=AutoscalingPolicy(policy_function=policy))
    assert config.policy.policy_function


def test_autoscaling_takes_a_policy_by_import_path():
    config = AutoscalingConfig(max_replicas=3, policy={"policy_function": "math:floor"})
    assert config.policy.policy_function == "math:floor"


def test_the_aggregation_may_be_given_as_a_constant():
    config = AutoscalingConfig(max_replicas=3, aggregation_function=AggregationFunction.MAX)
    assert config.aggregation_function == AggregationFunction.MAX == "max"


def test_autoscaling_lets_unknown_keys_pass():
    assert AutoscalingConfig(min_replicas=1, max_replica=2).max_replicas == 1
    made = serve.deployment(autoscaling_config={"max_replicas": 2, "target_ongoing_request": 7})(policy)
    assert made.name == "policy"


def test_autoscaling_takes_the_oldest_factor_for_both_ways():
    config = AutoscalingConfig(max_replicas=3, smoothing_factor=0.5, downscale_smoothing_factor=0.25)
    assert (config.get_upscaling_factor(), config.get_downscaling_factor()) == (0.5, 0.25)


def test_scale_to_zero_is_accepted():
    assert AutoscalingConfig(min_replicas=0, max_replicas=1).min_replicas == 0


def test_backpressure_status_is_503_or_429():
    assert BackpressureConfig().status_code == 503
    assert BackpressureConfig(status_code=429, retry_after_s=1.5).retry_after_s == 1.5
    with pytest.raises(ValueError, match="status_code"):
        BackpressureConfig(status_code=500)


def test_logging_has_defaults_and_levels():
    config = LoggingConfig()
    assert (config.encoding, config.log_level, config.enable_access_log) == ("TEXT", "INFO", True)
    assert LoggingConfig(encoding="JSON", log_level="WARNING").log_level == "WARNING"
    with pytest.raises(ValueError, match="log_level"):
        LoggingConfig(log_level="LOUD")


def test_a_logging_level_may_be_a_number():
    import logging

    assert LoggingConfig(log_level=logging.DEBUG).log_level == "DEBUG"


def test_logging_encodings():
    assert [encoding.value for encoding in EncodingType] == ["TEXT", "JSON"]
    assert LoggingConfig(encoding=EncodingType.JSON).encoding == "JSON"


def test_logging_encoding_is_checked():
    with pytest.raises(ValueError, match="encoding"):
        LoggingConfig(encoding="XML")


def test_tracing_is_off_and_its_values_are_checked():
    found = TracingConfig()
    assert (found.enabled, found.exporter_import_path, found.sampling_ratio) == (False, "", 0.01)
    for wrong in ({"sampling_ratio": 2}, {"enabled": "perhaps"}, {"exporter": "mine"}):
        with pytest.raises(ValueError):
            TracingConfig(**wrong)


def test_proxy_locations():
    assert {location.value for location in ProxyLocation} == {"Disabled", "HeadOnly", "EveryNode"}


def test_router_config_has_defaults():
    config = RequestRouterConfig()
    assert (config.initial_backoff_s, config.backoff_multiplier, config.max_backoff_s) == (0.025, 2, 0.5)
    assert config.request_routing_stats_period_s == 10


def test_router_config_takes_kwargs():
    assert RequestRouterConfig(request_router_kwargs={"a": 1}).request_router_kwargs == {"a": 1}


def test_a_run_target_has_defaults():
    @serve.deployment
    def f(request):
        return 1

    target = serve.RunTarget(f.bind())
    assert (target.name, target.route_prefix) == ("default", "/")


def test_options_of_http_that_were_removed():
    assert (HTTPOptions().middlewares, HTTPOptions().num_cpus) == ([], 0)
    for removed in ({"middlewares": [object()]}, {"num_cpus": 1}):
        with pytest.raises(ValueError, match=r"(was|been) removed"):
            HTTPOptions(**removed)
