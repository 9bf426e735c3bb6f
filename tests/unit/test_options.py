"""Options of a deployment: what is known, what is refused, what is accepted and does nothing yet."""

from __future__ import annotations

import re
import warnings
from typing import Any

import pytest

from remora import serve
from remora.compat.config import AutoscalingConfig
from remora.errors import OptionError
from remora.graph import placement_group
from remora.graph.actor_options import ActorOptions
from remora.graph.deployment import NoEffectYetWarning
from remora_api.wire_group import Strategy


class Model:
    def __call__(self) -> str:
        return "ok"


def test_defaults_are_ray_serves() -> None:
    options = serve.deployment(Model).settings
    assert options.name == "Model"
    assert (options.num_replicas, options.max_ongoing_requests, options.max_queued_requests) == (1, 5, -1)
    assert (options.graceful_shutdown_timeout_s, options.graceful_shutdown_wait_loop_s) == (20, 2)
    assert (options.health_check_period_s, options.health_check_timeout_s) == (10, 30)
    assert options.ray_actor_options == ActorOptions(num_cpus=1, num_gpus=0, memory=0, resources={})
    assert not options.has_user_config


def test_resources_are_read_in_rays_words() -> None:
    given = {"num_cpus": 0.1, "num_gpus": 0.5, "memory": 1024, "resources": {"TPU": 2}}
    actor = serve.deployment(ray_actor_options=given)(Model).settings.ray_actor_options
    assert (actor.cpu_milli, actor.memory, actor.custom) == (100, 1024, {"GPU": 0.5, "TPU": 2})


def test_a_runtime_env_has_variables_and_the_rest_is_rays_or_said_to_have_no_effect() -> None:
    runtime_env = {"env_vars": {"MODE": "fast"}, "pip": ["wheel"], "working_dir": None, "image_uri": "python:3"}
    with pytest.warns(NoEffectYetWarning, match=r"\[image_uri\]"):
        made = serve.deployment(ray_actor_options={"num_cpus": 0, "runtime_env": runtime_env})(Model)
    assert made.settings.ray_actor_options.env == {"MODE": "fast"}
    assert made.settings.ray_actor_options.runtime_env == {"pip": ["wheel"]}
    assert made.settings.without_effect == ("ray_actor_options[runtime_env][image_uri]",)
    assert made.ray_actor_options["runtime_env"] == {"env_vars": {"MODE": "fast"}, "pip": ["wheel"]}
    with pytest.raises(OptionError, match="must be what JSON can hold"):
        made.options(ray_actor_options={"runtime_env": {"py_modules": [Model]}})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"num_replcas": 2}, "deployment 'Model': unknown option 'num_replcas'; did you mean num_replicas"),
        ({"zzz": 2}, "deployment 'Model': unknown option 'zzz'; known are "),
        ({"version": "1"}, "deployment 'Model': option version cannot be set: it was removed"),
        ({"num_replicas": 0}, "option num_replicas is 0, and must be a whole number above 0"),
        ({"num_replicas": "many"}, "option num_replicas is 'many'"),
        ({"num_replicas": True}, "option num_replicas is True"),
        ({"num_replicas": 1.5}, "option num_replicas is 1.5"),
        ({"max_ongoing_requests": 0}, "option max_ongoing_requests is 0"),
        ({"max_queued_requests": -2}, "option max_queued_requests is -2"),
        ({"graceful_shutdown_timeout_s": -1}, "must be a number of seconds"),
        ({"health_check_period_s": 0}, "must be a number of seconds above 0"),
        ({"user_config": {"f": print}}, "option user_config must be what JSON can hold"),
        ({"ray_actor_options": {"num_cpu": 1}}, "has an unknown key 'num_cpu'; did you mean num_cpus"),
        ({"ray_actor_options": {"num_cpus": "1"}}, "option ray_actor_options['num_cpus'] is '1'"),
        ({"ray_actor_options": {"resources": {"TPU": -1}}}, "option ray_actor_options['resources']['TPU'] is -1"),
        ({"ray_actor_options": 1}, "must be a dict"),
        ({"ray_actor_options": {"runtime_env": 1}}, "option ray_actor_options['runtime_env'] is 1"),
        ({"ray_actor_options": {"runtime_env": {"env_vars": {"A": 1}}}}, "must be a dict of strings"),
        ({"rolling_update_percentage": 0}, "must be a number above 0 and at most 1"),
        ({"rolling_update_percentage": 1.1}, "must be a number above 0 and at most 1"),
        ({"max_surge_percent": 101}, "option max_surge_percent is 101, and must be a whole number of 0 to 100"),
        ({"max_surge_percent": 2.5}, "option max_surge_percent is 2.5"),
        ({"max_constructor_retry_count": 0}, "option max_constructor_retry_count is 0"),
        ({"name": "a#b"}, "the name 'a#b' must be 1 to 100 letters"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(next(iter(value.items()))),
)
def test_a_wrong_option_is_refused_with_the_deployments_name(given: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=re.escape(message)) as refused:
        serve.deployment(**given)(Model)
    assert "deployment 'Model'" in str(refused.value)


def test_what_has_no_effect_yet_is_said_and_kept() -> None:
    with pytest.warns(
        NoEffectYetWarning, match="deployment 'Model': option ray_actor_options\\[label_selector\\] is"
    ) as seen:
        made = serve.deployment(ray_actor_options={"label_selector": {"a": "b"}})(Model)
    assert seen[0].filename == __file__
    assert made.settings.without_effect == ("ray_actor_options[label_selector]",)


def test_autoscaling_has_ray_serves_names_and_defaults() -> None:

    assert serve.deployment(num_replicas="auto")(Model).settings.autoscaling == {"max_replicas": 100}
    given = {"min_replicas": 2, "max_replicas": 5, "target_ongoing_requests": 3, "upscale_delay_s": 1}
    made = serve.deployment(autoscaling_config=AutoscalingConfig(**given, aggregation_function="max"))(Model)
    expected = {**given, "target_ongoing_requests": 3.0, "upscale_delay_s": 1.0, "aggregation": "Max"}
    assert made.settings.autoscaling == expected
    assert made.options(name="Other").settings.autoscaling == expected
    assert made.options(num_replicas=3).settings.autoscaling is None
    assert made.options(autoscaling_config={"max_replicas": 9}).settings.autoscaling == {"max_replicas": 9}


def by_queue(context: object) -> int:
    return 1


def test_a_policy_is_kept_by_its_import_path() -> None:
    from remora.compat.config import AutoscalingPolicy

    for policy in (
        {"policy_function": "scaling:by_queue", "policy_kwargs": {"per": 2}},
        {"policy_function": "scaling.by_queue", "policy_kwargs": {"per": 2}},
        AutoscalingPolicy("scaling:by_queue", {"per": 2}),
    ):
        made = serve.deployment(autoscaling_config={"max_replicas": 3, "policy": policy})(Model)
        assert made.settings.autoscaling is not None
        assert made.settings.autoscaling["policy"] == {"import_path": "scaling:by_queue", "args": {"per": 2}}
    given = serve.deployment(autoscaling_config={"policy": AutoscalingPolicy(by_queue)})(Model).settings.autoscaling
    assert given is not None
    assert given["policy"] == {"import_path": f"{__name__}:by_queue", "args": {}}
    with pytest.raises(OptionError, match="cannot be imported by name"):
        AutoscalingPolicy(lambda context: 1)


def test_the_oldest_factor_is_for_both_ways_unless_a_newer_one_says_otherwise() -> None:
    given = {"max_replicas": 3, "smoothing_factor": 0.5, "downscale_smoothing_factor": 0.25}
    settings = serve.deployment(autoscaling_config=given)(Model).settings
    assert settings.autoscaling == {"max_replicas": 3, "upscaling_factor": 0.5, "downscaling_factor": 0.25}
    assert settings.warnings == ()


@pytest.mark.parametrize("as_object", [False, True])
def test_an_unknown_key_of_autoscaling_has_no_effect_and_is_said(as_object: bool) -> None:
    given: Any = {"min_replicas": 1, "max_replica": 2}
    with pytest.warns(NoEffectYetWarning, match="unknown key 'max_replica', which has no effect; did you mean max_re"):
        made = serve.deployment(autoscaling_config=AutoscalingConfig(**given) if as_object else given)(Model)
    assert made.settings.autoscaling == {"min_replicas": 1, "max_replicas": 1}
    again = made.options(autoscaling_config={"max_replicas": 2})
    assert again.settings.without_effect == ()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"autoscaling_config": {"smoothing_factor": 0}}, "['smoothing_factor'] is 0, and must be a number above 0"),
        ({"autoscaling_config": {"max_replicas": 0}}, "must be a whole number above 0"),
        ({"autoscaling_config": {"target_ongoing_requests": 0}}, "must be a number above 0"),
        ({"autoscaling_config": {"min_replicas": 5, "max_replicas": 2}}, "must be in this order"),
        ({"autoscaling_config": {"max_replicas": 2}, "num_replicas": 2}, "leave one of them out"),
        ({"autoscaling_config": 1}, "must be a dict or an AutoscalingConfig"),
        ({"autoscaling_config": {"aggregation_function": "median"}}, "must be mean, max or min"),
    ],
)
def test_a_wrong_autoscaling_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=re.escape(message)):
        serve.deployment(**given)(Model)


def test_options_change_a_copy_and_warn_of_new_ones_only() -> None:
    with pytest.warns(NoEffectYetWarning):
        first = serve.deployment(ray_actor_options={"label_selector": {"a": "b"}}, num_replicas=3)(Model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = first.options(name="Other", num_replicas=4)
    assert (first.name, first.num_replicas) == ("Model", 3)
    assert (second.name, second.num_replicas) == ("Other", 4)
    assert second.func_or_class is Model
    assert second.settings.without_effect == ("ray_actor_options[label_selector]",)


def test_none_gives_the_default_where_ray_serve_allows_it() -> None:
    options = serve.deployment(num_replicas=None, user_config=None, ray_actor_options=None)(Model).settings
    assert (options.replicas, options.has_user_config, options.ray_actor_options) == (1, False, ActorOptions())


def test_a_deployment_cannot_be_called_or_decorated_twice() -> None:
    made = serve.deployment(Model)
    with pytest.raises(RuntimeError, match="'Model' cannot be called or constructed directly"):
        made()
    with pytest.raises(OptionError, match="'Model' is decorated twice"):
        serve.deployment(made)
    with pytest.raises(OptionError, match="takes a class or a function, not int"):
        serve.deployment(3)  # type: ignore[call-overload]


def test_a_lambda_needs_a_name() -> None:
    with pytest.raises(OptionError, match=r"give another with @serve.deployment\(name"):
        serve.deployment(lambda: 1)
    assert serve.deployment(name="one")(lambda: 1).name == "one"


def test_wrong_values_and_unknown_options_are_what_python_programs_catch() -> None:
    for kind in (ValueError, TypeError):
        with pytest.raises(kind):
            serve.deployment(zzz=2)(Model)
    for wrong in (0, 101, 2.0):
        with pytest.raises(
            ValueError, match=f"max_replicas_per_node is {wrong}, and must be a whole number of 1 to 100"
        ):
            serve.deployment(max_replicas_per_node=wrong)(Model)
    with pytest.raises(ValueError, match="backpressure_config is wrong: status_code"):
        serve.deployment(backpressure_config={"status_code": 500})(Model)


def test_an_autoscaling_config_has_ray_serves_defaults_and_keeps_a_policy() -> None:
    config = AutoscalingConfig(max_replicas=3, policy={"policy_function": "mine:policy"})
    assert (config.min_replicas, config.max_replicas, config.initial_replicas) == (1, 3, None)
    assert config.policy.policy_function == "mine:policy"
    settings = serve.deployment(autoscaling_config=config)(Model).settings
    assert settings.autoscaling is not None
    assert settings.autoscaling["policy"]


def test_replicas_of_a_node_cannot_be_counted_beside_placement_groups() -> None:
    with pytest.raises(OptionError, match="'Model': option max_replicas_per_node cannot be set beside placement_gr"):
        serve.deployment(max_replicas_per_node=2, placement_group_bundles=[{"CPU": 1}])(Model)
    grouped = serve.deployment(placement_group_bundles=[{"CPU": 1}])(Model)
    with pytest.raises(OptionError, match="leave one of them out"):
        grouped.options(max_replicas_per_node=2)
    assert grouped.options(max_replicas_per_node=2, placement_group_bundles=None).settings.max_replicas_per_node == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"placement_group_strategy": "PACK"}, "option placement_group_strategy needs placement_group_bundles"),
        ({"placement_group_bundle_label_selector": [{"a": "b"}]}, "label_selector needs placement_group_bundles"),
        ({"placement_group_bundles": []}, "must be a list of resources for each bundle"),
        ({"placement_group_bundles": [{"CPU": "1"}]}, "amounts must be numbers of at least 0"),
        ({"placement_group_bundles": [{"CPU": -1}]}, "amounts must be numbers of at least 0"),
        ({"placement_group_bundles": [{"CPU": 1}, {"CPU": 0}]}, "holds nothing: leave it out"),
        (
            {"placement_group_bundles": [{"CPU": 1}], "placement_group_strategy": "TIGHT"},
            "option placement_group_strategy is 'TIGHT', and must be one of PACK, STRICT_PACK, SPREAD, STRICT_SPREAD",
        ),
        (
            {"placement_group_bundles": [{"CPU": 1}], "placement_group_bundle_label_selector": [{"a": "b c"}]},
            "in(a, b)",
        ),
        (
            {"placement_group_bundles": [{"CPU": 1}] * 3, "placement_group_bundle_label_selector": [{"a": "b"}] * 2},
            "has 2 selectors for 3 bundles: give one for all of them, or one for each",
        ),
        ({"placement_group_bundles": [{"GPU": 1}]}, "which has 0 CPU; its ray_actor_options must be a subset of that"),
        (
            {"placement_group_bundles": [{"CPU": 1}, {"GPU": 1}], "ray_actor_options": {"num_gpus": 1}},
            "which has 0 GPU; its ray_actor_options must be a subset of that, and num_gpus is 1",
        ),
        (
            {"placement_group_bundles": [{"CPU": 1}], "ray_actor_options": {"resources": {"disk": 2}}},
            "which has 0 disk; its ray_actor_options must be a subset of that, and disk is 2",
        ),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value,
)
def test_a_wrong_placement_group_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=re.escape(message)):
        serve.deployment(**given)(Model)


def test_one_selector_is_for_all_bundles_and_packed_is_the_default() -> None:
    bundles = [{"CPU": 1}, {"GPU": 1}]
    made = serve.deployment(
        placement_group_bundles=bundles, placement_group_bundle_label_selector=[{"ray.io/accelerator-type": "in(A, B)"}]
    )(Model)
    assert made.settings.group == {
        "bundles": [{"CPU": 1.0}, {"GPU": 1.0}],
        "strategy": "PACK",
        "selectors": [{"ray.io/accelerator-type": "in(A, B)"}] * 2,
    }
    assert made.settings.without_effect == ()
    assert serve.deployment(Model).settings.group is None
    assert tuple(Strategy) == placement_group.STRATEGIES
