"""Ray Serve's config files, read as they are: as targets here."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from remora import cli
from remora.local.manifest import read
from remora.local.subject import CannotRead
from remora_api.autoscaling import Aggregation, Autoscaling, Policy
from remora_api.target import target_from
from remora_api.v1alpha1 import ServeApplication
from remora_api.wire_group import PlacementGroup, Strategy
from tests.unit.serve_configs import CONFIG, config

__all__ = ["config"]


def test_is_read_as_it_is_for_this_machine(config: Path) -> None:
    subject = read(str(config))
    shop, inner = subject.applications
    assert (subject.host, subject.port, subject.root_path) == ("0.0.0.0", 8011, "/out")
    assert subject.keep_alive_s == 9
    assert shop.grpc is not None
    assert (shop.grpc.port, *shop.grpc.servicer_functions) == (9001, "words_grpc.add_WordsServicer_to_server")
    assert (shop.target.application, shop.target.import_path, shop.target.args) == (
        "Shop_1",
        "shop:app",
        {"word": "hi"},
    )
    assert (shop.route_prefix, shop.request_timeout_s, inner.route_prefix) == ("/shop", 2.5, None)
    assert shop.target.env == {"MODE": "fast"}
    assert shop.target.working_dir == str(config.parent / "code")
    assert (shop.target.capacity, inner.target.capacity) == (50, 50)
    (word,) = shop.target.deployments
    assert (word.name, word.replicas, word.max_ongoing_requests, word.max_queued_requests) == ("Word", 2, 10, 3)
    assert word.max_replicas_per_node == 1
    assert (word.rolling_update_percentage, word.max_surge_percent, word.max_constructor_retry_count) == (0.5, 0, 2)
    assert word.env == {"INNER": "1"}
    assert (word.user_config, word.has_user_config) == ({"x": [1, 2]}, True)
    assert (word.graceful_shutdown_timeout_s, word.health_check_period_s, word.health_check_timeout_s) == (0.5, 5, None)
    assert word.resources is not None
    assert (word.resources.cpu_milli, word.resources.memory_bytes) == (100, 1_000_000)
    assert word.resources.custom == {"GPU": 0.5, "odd": 1, "example.com/chip": 2}
    assert word.autoscaling is None
    (scaled,) = inner.target.deployments
    assert scaled.autoscaling == Autoscaling(
        min_replicas=2,
        max_replicas=100,
        target_ongoing_requests=1.5,
        upscale_delay_s=2.5,
        aggregation=Aggregation.MAX,
        policy=Policy(import_path="shop:count", args={"most": 3}),
    )


def test_says_each_thing_that_has_no_effect_here(config: Path) -> None:
    assert set(read(str(config)).warnings) == {
        "application 'Shop_1': deployment 'Word': some_later_option has no effect here",
        "application 'Shop_1': deployment 'Word': ray_actor_options.accelerator_type has no effect here",
        "application 'inner': deployment 'Scaled': autoscaling_config.max_replica (did you mean max_replicas or "
        "min_replicas?) has no effect here",
    }


def test_logging_of_an_application_comes_before_that_of_the_file(config: Path) -> None:
    def levels(text: str) -> list[str | None]:
        config.write_text(text)
        given = (it.logging_config for it in read(str(config)).applications)
        return [found["log_level"] if found else None for found in given]

    own = CONFIG.replace("  args: {word: hi}", "  args: {word: hi}\n  logging_config: {log_level: ERROR}")
    assert levels(CONFIG) == ["DEBUG", "DEBUG"]
    assert levels(own) == ["ERROR", "DEBUG"]
    assert levels(own.replace("logging_config: {log_level: DEBUG}\n", "", 1)) == ["ERROR", None]
    with pytest.raises(CannotRead, match=r"logging_config\.log_level: log_level is 'LOUD', and must be one of"):
        levels(CONFIG.replace("log_level: DEBUG", "log_level: LOUD"))


def test_a_capacity_beyond_100_percent_is_refused(config: Path) -> None:
    config.write_text(CONFIG.replace("target_capacity: 50", "target_capacity: 101"))
    with pytest.raises(CannotRead, match="target_capacity: input should be less than or equal to 100"):
        read(str(config))


def test_what_ray_sets_up_reaches_all_deployments(config: Path) -> None:
    config.write_text(CONFIG.replace("working_dir: code", "working_dir: s3://bucket/code.zip"))
    outer, inner = read(str(config)).applications
    assert outer.runtime_env["working_dir"] == "s3://bucket/code.zip"
    assert set(outer.runtime_env) == {"working_dir", "pip"}
    assert outer.target.working_dir == ""
    assert not inner.runtime_env
    (word,) = (it for it in outer.target.deployments if it.name == "Word")
    assert word.runtime_env == outer.runtime_env


def test_its_revision_follows_code_and_arguments_only(config: Path) -> None:
    def revision(text: str) -> str:
        config.write_text(text)
        return read(str(config)).applications[0].target.revision

    before = revision(CONFIG)
    assert revision(CONFIG.replace("num_replicas: 2", "num_replicas: 4")) == before
    assert revision(CONFIG.replace("word: hi", "word: ho")) != before
    assert revision(CONFIG.replace("MODE: fast", "MODE: slow")) != before


def test_a_config_of_a_single_application_as_of_old(tmp_path: Path) -> None:
    path = tmp_path / "old.yaml"
    path.write_text("{import_path: shop:app, host: 127.0.0.1, port: 8012, deployments: []}")
    subject = read(str(path), route_prefix="/x", args={"a": 1})
    (found,) = subject.applications
    assert (subject.port, found.target.application, found.route_prefix) == (8012, "default", "/x")
    assert found.target.args == {"a": 1}
    assert subject.warnings == ()


def test_a_group_for_each_replica_stands_in_the_place_of_the_codes(config: Path) -> None:
    given = "num_replicas: auto\n    placement_group_bundles: [{CPU: 1}, {GPU: 2}]\n"
    given += "    placement_group_strategy: STRICT_PACK\n    placement_group_bundle_label_selector: [{disk: ssd}]"
    config.write_text(CONFIG.replace("num_replicas: auto", given))
    _, inner = read(str(config)).applications
    assert inner.target.deployments[0].group == PlacementGroup(
        bundles=({"CPU": 1}, {"GPU": 2}), strategy=Strategy.STRICT_PACK, selectors=({"disk": "ssd"}, {"disk": "ssd"})
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            ("num_replicas: auto", "num_replicas: auto\n    placement_group_bundles: [{CPU: -1}]"),
            "applications[1].deployments[0].placement_group_bundles: it has the bundle {'CPU': -1}",
            id="a bundle of less than nothing",
        ),
        pytest.param(
            ("num_replicas: auto", "num_replicas: auto\n    placement_group_strategy: PACK"),
            "applications[1].deployments[0]: placement_group_strategy and …_bundle_label_selector need",
            id="a strategy for no bundles",
        ),
        pytest.param(
            ("num_replicas: 2", "num_replicas: -2"),
            "applications[0].deployments[0].num_replicas: input should be greater than 0",
            id="a number of replicas",
        ),
        pytest.param(
            ("num_replicas: 2", "num_replicas: 2\n    autoscaling_config: {max_replicas: 3}"),
            "applications[0].deployments[0].num_replicas: cannot be set beside autoscaling_config",
            id="replicas and autoscaling",
        ),
        pytest.param(
            ("min_replicas: 2", "min_replicas: two"),
            "applications[1].deployments[0]: autoscaling_config['min_replicas'] is 'two'",
            id="wrong autoscaling",
        ),
        pytest.param(
            ("import_path: shop:inner", "import: shop:inner"),
            "applications[1].import_path: field required",
            id="no path",
        ),
        pytest.param(
            ("import_path: shop:inner", "import_path: shop"),
            "applications[1].import_path: must be module:attribute",
            id="no attribute",
        ),
        pytest.param(("name: inner", "name: Shop_1"), "two have the name 'Shop_1'", id="a name twice"),
        pytest.param(
            ("route_prefix: null", "route_prefix: /shop"), "two have the route_prefix '/shop'", id="a route twice"
        ),
        pytest.param(("working_dir: code", "working_dir: cod"), "/cod is no folder", id="no such folder"),
        pytest.param(("name: inner", "name: [inner"), "config.yaml, line 37, column", id="no YAML"),
    ],
)
def test_says_where_a_config_is_wrong(config: Path, change: tuple[str, str], message: str) -> None:
    assert change[0] in CONFIG
    config.write_text(CONFIG.replace(*change))
    with pytest.raises(CannotRead) as raised:
        read(str(config))
    assert message in str(raised.value)


POLICY = """
applications:
- name: shop
  import_path: shop:app
  autoscaling_policy:
    policy_function: {function}
    policy_kwargs: {{spare: 2}}
"""


def test_an_applications_policy_is_carried_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(POLICY.format(function="shop.scaling.together"))
    (application,) = read(str(path)).applications
    assert application.target.autoscaling_policy == Policy(import_path="shop.scaling:together", args={"spare": 2})
    assert read(str(path)).warnings == ()
    assert cli.main(["convert", str(path)]) == 0
    printed = capsys.readouterr()
    (written,) = yaml.safe_load_all(printed.out)
    assert written["spec"]["autoscalingPolicy"] == {"importPath": "shop.scaling:together", "args": {"spare": 2}}
    assert "autoscaling_policy" not in printed.err
    back = target_from(ServeApplication.from_manifest(written), revision="r")
    assert back.autoscaling_policy == application.target.autoscaling_policy


def test_an_applications_policy_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(POLICY.format(function="together"))
    with pytest.raises(
        CannotRead, match=r"applications\[0\]\.autoscaling_policy: .*'together' must be module:function"
    ):
        read(str(path))


def test_what_a_program_makes_of_rays_models_is_read(config: Path) -> None:
    from remora.compat.schema import ServeDeploySchema

    document = {**yaml.safe_load(CONFIG), "http_options": {"port": 9000}}
    for application in document["applications"]:
        application.get("runtime_env", {}).pop("working_dir", None)
    made = ServeDeploySchema.model_validate(document).model_dump(exclude_unset=True, mode="json")
    config.write_text(yaml.safe_dump(made))
    outer, inner = read(str(config)).applications
    assert (outer.target.application, inner.target.application) == ("Shop_1", "inner")
    assert [it.replicas for it in outer.target.deployments] == [2]
