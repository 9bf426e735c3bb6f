"""What `@serve.deployment` and `.options` take, keep and refuse. Nothing here needs a running instance."""

import pytest
from ray import serve
from ray.serve.config import AutoscalingConfig, BackpressureConfig
from ray.serve.schema import LoggingConfig


@serve.deployment
class Plain:
    def __call__(self):
        return "plain"


def make(**options):
    @serve.deployment(**options)
    class Made:
        pass

    return Made


def test_the_name_is_that_of_the_class_or_function():
    @serve.deployment
    def answer(request):
        return 1

    assert (Plain.name, answer.name) == ("Plain", "answer")


def test_the_name_may_be_given():
    assert make(name="other").name == "other"


def test_defaults():
    made = make()
    assert made.num_replicas == 1
    assert made.max_ongoing_requests == 5
    assert made.max_queued_requests == -1
    assert made.user_config is None


def test_the_decorator_with_and_without_parentheses():
    @serve.deployment()
    class Called:
        pass

    assert isinstance(Called, serve.Deployment)
    assert isinstance(Plain, serve.Deployment)


def test_properties_give_back_what_was_given():
    made = make(num_replicas=3, max_ongoing_requests=7, max_queued_requests=9, user_config={"a": [1]})
    assert (made.num_replicas, made.max_ongoing_requests, made.max_queued_requests) == (3, 7, 9)
    assert made.user_config == {"a": [1]}


def test_actor_options_are_a_dict():
    assert make(ray_actor_options={"num_cpus": 0.5}).ray_actor_options["num_cpus"] == 0.5


def test_actor_options_default_to_one_cpu():
    assert make().ray_actor_options["num_cpus"] == 1


def test_the_class_stays_reachable():
    assert Plain.func_or_class()() == "plain"


def test_options_return_a_copy():
    other = Plain.options(name="Other", num_replicas=2)
    assert (other.name, other.num_replicas) == ("Other", 2)
    assert (Plain.name, Plain.num_replicas) == ("Plain", 1)


def test_options_keep_what_they_do_not_change():
    other = make(max_ongoing_requests=3, user_config={"a": 1}).options(num_replicas=2)
    assert (other.max_ongoing_requests, other.user_config, other.num_replicas) == (3, {"a": 1}, 2)


def test_options_may_replace_the_class():
    class New:
        pass

    assert Plain.options(func_or_class=New).func_or_class is New


def test_bind_makes_an_application():
    assert isinstance(Plain.bind(), serve.Application)


def test_two_bindings_are_two_applications():
    assert Plain.bind() is not Plain.bind()


def test_every_option_is_accepted():
    made = make(
        name="all",
        num_replicas=2,
        ray_actor_options={"num_cpus": 0, "resources": {}, "runtime_env": {}},
        user_config={"x": 1},
        max_ongoing_requests=10,
        max_queued_requests=20,
        backpressure_config={"status_code": 429, "retry_after_s": 2},
        graceful_shutdown_wait_loop_s=1,
        graceful_shutdown_timeout_s=5.5,
        health_check_period_s=3,
        health_check_timeout_s=4,
        logging_config={"log_level": "DEBUG"},
        request_router_config={},
        max_constructor_retry_count=3,
        max_replicas_per_node=4,
        rolling_update_percentage=0.5,
        max_surge_percent=10,
    )
    assert made.name == "all"


def test_an_autoscaling_config_as_a_dict_and_as_an_object():
    for config in ({"min_replicas": 1, "max_replicas": 4}, AutoscalingConfig(min_replicas=1, max_replicas=4)):
        assert make(autoscaling_config=config).options(name="x").name == "x"


def test_auto_replicas():
    assert make(num_replicas="auto").name == "Made"


def test_placement_groups_are_accepted():
    assert make(placement_group_bundles=[{"CPU": 1}], placement_group_strategy="PACK").name == "Made"


def test_logging_config_as_an_object():
    made = make(logging_config=LoggingConfig(log_level="DEBUG"))
    assert made.logging_config["log_level"] == "DEBUG"


def test_backpressure_config_has_defaults():
    assert make().backpressure_config.status_code == 503
    assert make(backpressure_config=BackpressureConfig(status_code=429)).backpressure_config.status_code == 429


def test_an_unknown_option_is_a_type_error():
    with pytest.raises(TypeError, match="replicas"):
        make(replicas=2)
    with pytest.raises(TypeError, match="replicas"):
        Plain.options(replicas=2)


def test_a_string_in_the_place_of_the_class_names_nothing():
    @serve.deployment("counter", num_replicas=2)
    class Named:
        pass

    assert (Named.name, Named.num_replicas) == ("Named", 2)


def test_version_was_removed():
    with pytest.raises(ValueError, match="version"):
        make(version="1")
    with pytest.raises(ValueError, match="version"):
        Plain.options(version="1")


def test_no_replicas_are_a_value_error():
    with pytest.raises(ValueError, match="num_replicas"):
        make(num_replicas=0)
    with pytest.raises(ValueError, match="num_replicas"):
        Plain.options(num_replicas=0)


def test_a_negative_number_of_replicas_is_a_value_error():
    with pytest.raises(ValueError, match="num_replicas"):
        make(num_replicas=-1)


def test_max_ongoing_requests_must_be_positive():
    for wrong in (0, -3, None):
        with pytest.raises(ValueError, match="max_ongoing_requests"):
            make(max_ongoing_requests=wrong)


def test_max_queued_requests_may_not_be_below_minus_one():
    with pytest.raises(ValueError, match="max_queued_requests"):
        make(max_queued_requests=-2)


def test_replicas_and_autoscaling_exclude_each_other():
    with pytest.raises(ValueError, match="num_replicas"):
        make(num_replicas=3, autoscaling_config={"max_replicas": 4})
    with pytest.raises(ValueError, match="num_replicas"):
        Plain.options(num_replicas=3, autoscaling_config={"max_replicas": 4})


def test_max_replicas_per_node_has_limits():
    for wrong in (0, 101):
        with pytest.raises(ValueError):
            make(max_replicas_per_node=wrong)
    with pytest.raises(TypeError):
        make(max_replicas_per_node=1.0)
    assert make(max_replicas_per_node=100).options(max_replicas_per_node=None).name == "Made"


def test_max_replicas_per_node_excludes_placement_groups():
    with pytest.raises(ValueError, match="placement_group_bundles"):
        make(max_replicas_per_node=2, placement_group_bundles=[{"CPU": 1}])


def test_times_must_be_positive():
    for option in ("health_check_period_s", "health_check_timeout_s", "graceful_shutdown_timeout_s"):
        with pytest.raises(ValueError, match=option):
            make(**{option: -1})


def test_a_user_config_must_be_json():
    with pytest.raises(ValueError, match=r"(?i)json"):
        make(user_config={"a": object()})


def test_a_name_with_a_hash_is_refused():
    with pytest.raises(ValueError, match="#"):
        make(name="a#b")


def test_a_name_that_is_no_text_is_a_type_error():
    with pytest.raises(TypeError, match="name"):
        make(name=3)


def test_actor_options_must_be_known():
    with pytest.raises(ValueError):
        make(ray_actor_options={"num_cpu": 1})


def test_actor_options_must_be_a_dict():
    with pytest.raises(TypeError):
        make(ray_actor_options=[1])


def test_a_deployment_is_not_called():
    with pytest.raises(RuntimeError):
        Plain()


def test_the_constructor_is_not_for_users():
    with pytest.raises((RuntimeError, TypeError)):
        serve.Deployment("name", None, None)


def test_bind_keeps_its_arguments():
    @serve.deployment
    class Takes:
        def __init__(self, *args, **kwargs):
            pass

    other = Takes.options(name="Bound")
    assert isinstance(other.bind(1, two=2), serve.Application)


def test_a_function_takes_no_constructor_arguments():
    @serve.deployment
    def answer(request):
        return 1

    with pytest.raises(ValueError):
        answer.bind(1)
