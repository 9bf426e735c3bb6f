"""Manifests for a cluster: what `remora convert` makes of Ray Serve's config files, and `remora build` of code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from remora import cli
from remora.local import code
from remora.local.manifest import read
from remora_api import crd
from remora_api.v1alpha1 import ServeApplication
from tests.unit.serve_configs import CONFIG, config

__all__ = ["config"]


def test_converts_to_manifests_that_the_cluster_takes(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["convert", str(config)]) == 0
    printed = capsys.readouterr()
    shop, inner = yaml.safe_load_all(printed.out)
    assert_valid(shop)
    assert_valid(inner)
    assert shop["metadata"] == {"name": "shop-1"}
    assert shop["spec"] == {
        "importPath": "shop:app",
        "args": {"word": "hi"},
        "code": {"inline": {"shop.py": "import pkg\napp = 1\n", "pkg/__init__.py": ""}},
        "env": [{"name": "MODE", "value": "fast"}],
        "routePrefix": "/shop",
        "deployments": [
            {
                "name": "Word",
                "replicas": 1,
                "maxOngoingRequests": 10,
                "maxQueuedRequests": 3,
                "maxReplicasPerNode": 1,
                "userConfig": {"x": [1, 2]},
                "gracefulShutdownTimeoutSeconds": 1,
                "healthCheckPeriodSeconds": 5,
                "resources": {
                    "cpu": "100m",
                    "memory": "1000000",
                    "nvidia.com/gpu": "500m",
                    "example.com/chip": "2",
                },
            }
        ],
        "proxy": PROXY,
    }
    assert inner["spec"] == {
        "importPath": "shop:inner",
        "deployments": [
            {
                "name": "Scaled",
                "autoscaling": {
                    "maxReplicas": 50,
                    "minReplicas": 1,
                    "targetOngoingRequests": "1.5",
                    "upscaleDelaySeconds": 3,
                    "aggregationFunction": "Max",
                    "policy": {"importPath": "shop:count", "args": {"most": 3}},
                },
            }
        ],
        "proxy": PROXY,
    }


PROXY = {
    "requestTimeoutSeconds": 3,
    "grpc": {"port": 9001, "servicerFunctions": ["words_grpc.add_WordsServicer_to_server"]},
}
LOST_OF_THE_FIRST = [
    "proxy_location",
    "logging_config",
    "target_capacity",
    "http_options.root_path",
    "http_options.keep_alive_timeout_s",
    "grpc_options.enable_reflection",
    "http_options.host and port",
    "other applications of the file",
    "deployment 'Word': graceful_shutdown_timeout_s: 0.5 s became 1",
    "deployment 'Word': resource 'odd'",
    "deployment 'Word': ray_actor_options.accelerator_type",
    "deployment 'Word': ray_actor_options.runtime_env.env_vars",
    "deployment 'Word': rolling_update_percentage",
    "deployment 'Word': max_surge_percent",
    "deployment 'Word': max_constructor_retry_count",
    "deployment 'Word': some_later_option",
    "http_options.request_timeout_s: 2.5 s became 3",
    "runtime_env.pip",
    "name 'Shop_1': Kubernetes takes 'shop-1'",
]


def test_nothing_is_lost_in_silence(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["convert", str(config)])
    printed = capsys.readouterr()
    comments = [line for line in printed.out.partition("apiVersion")[0].splitlines() if line.startswith("# - ")]
    warned = [line for line in printed.err.splitlines() if line.startswith("remora: shop-1: not carried over: ")]
    assert len(comments) == len(warned) == len(LOST_OF_THE_FIRST)
    for what in LOST_OF_THE_FIRST:
        assert any(line.startswith(f"# - {what}") for line in comments), what
        assert any(what in line for line in warned), what
    assert "route_prefix: null" in printed.err
    assert "module shop has to be in spec.image" in printed.err
    assert "deployment 'Scaled': autoscaling_config.max_replica (did you mean max_replicas or min_replicas?): " in (
        printed.err
    )
    assert "deployment 'Scaled': autoscaling_config.upscale_delay_s: 2.5 s became 3" in printed.err


def test_what_was_converted_runs_here_as_the_config_does(config: Path, tmp_path: Path) -> None:
    config.write_text(CONFIG.replace("target_capacity: 50", ""))
    cli.main(["convert", str(config), "-o", str(tmp_path / "app.yaml")])
    original, converted = (read(str(path)).applications[0] for path in (config, tmp_path / "app.yaml"))
    assert converted.route_prefix == original.route_prefix
    for name in ("import_path", "args"):
        assert getattr(converted.target, name) == getattr(original.target, name)
    (word,), (same,) = original.target.deployments, converted.target.deployments
    for name in ("name", "replicas", "max_ongoing_requests", "max_queued_requests", "user_config"):
        assert getattr(word, name) == getattr(same, name)
    assert converted.target.code is not None
    assert converted.target.code.files == code.files_in(config.parent / "code")


@pytest.mark.parametrize(
    ("given", "bundles", "strategy", "note"),
    [
        (
            "[{CPU: 1}, {CPU: 0.5, GPU: 2, memory: 1024}]",
            [{"cpu": "1"}, {"cpu": "500m", "nvidia.com/gpu": "2", "memory": "1024"}],
            "Pack",
            "",
        ),
        ("[{CPU: 1}]\n    placement_group_strategy: STRICT_SPREAD", [{"cpu": "1"}], "StrictSpread", ""),
        ("[{GPU: 1}]", [{"nvidia.com/gpu": "1"}], "Pack", "the first of bundles has 1 CPU at least"),
        ("[{CPU: 1, shelf: 1}]", None, None, "placement_group_bundles: say it in the code"),
        (
            "[{CPU: 1}]\n    placement_group_bundle_label_selector: [{disk: ssd}]",
            None,
            None,
            "placement_group_bundle_label_selector: say it in the code",
        ),
    ],
)
def test_bundles_are_converted_where_the_resource_can_say_all_of_them(
    config: Path, tmp_path: Path, given: str, bundles: Any, strategy: str | None, note: str
) -> None:
    config.write_text(CONFIG.replace("num_replicas: auto", f"num_replicas: auto\n    placement_group_bundles: {given}"))
    cli.main(["convert", str(config), "-o", str(tmp_path / "app.yaml")])
    text = (tmp_path / "app.yaml").read_text()
    deployment = list(yaml.safe_load_all(text))[1]["spec"]["deployments"][0]
    assert (deployment.get("bundles"), deployment.get("bundleStrategy")) == (bundles, strategy)
    assert note in text
    if not note:
        assert "placement_group" not in text
    for document in yaml.safe_load_all(text):
        ServeApplication.from_manifest(document)


def test_convert_says_what_is_wrong_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "app.yaml").write_text("apiVersion: v1\nkind: Pod\n")
    assert cli.main(["convert", str(tmp_path / "app.yaml")]) == 1
    (tmp_path / "bad.yaml").write_text("applications: [{import_path: 'a:b', deployments: [{name: 'not a name'}]}]")
    assert cli.main(["convert", str(tmp_path / "bad.yaml")]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "is no Serve config" in printed.err
    assert "spec.deployments[0].name: must be a deployment's name" in printed.err


CODE = """
from ray import serve

@serve.deployment(num_replicas=3, max_ongoing_requests=7, user_config={"a": 1}, health_check_period_s=2.5,
                  ray_actor_options={"num_cpus": 0.5, "num_gpus": 1, "memory": 2**20})
class Model:
    def __call__(self): return "x"

@serve.deployment(autoscaling_config={"max_replicas": 4, "target_ongoing_requests": 3})
class Front:
    def __init__(self, model, word): pass

def build(args): return Front.bind(Model.bind(), args["word"])
"""


def test_build_writes_what_the_code_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "built_from_code.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    argv = ["build", "built_from_code:build", "--arg", "word=hi", "--name", "Shop", "--code", "."]
    assert cli.main(argv) == 0
    printed = capsys.readouterr()
    (found,) = yaml.safe_load_all(printed.out)
    assert_valid(found)
    assert found["metadata"] == {"name": "shop"}
    assert found["spec"]["importPath"] == "built_from_code:build"
    assert found["spec"]["args"] == {"word": "hi"}
    assert found["spec"]["code"] == {"inline": {"built_from_code.py": CODE}}
    assert found["spec"]["deployments"] == [
        {
            "name": "Model",
            "replicas": 3,
            "maxOngoingRequests": 7,
            "userConfig": {"a": 1},
            "healthCheckPeriodSeconds": 3,
            "resources": {"cpu": "500m", "memory": "1048576", "nvidia.com/gpu": "1"},
        },
        {"name": "Front", "autoscaling": {"maxReplicas": 4, "targetOngoingRequests": "3"}},
    ]
    assert "health_check_period_s: 2.5 s became 3" in printed.err
    # And it is read back as it was written.
    path = tmp_path / "app.yaml"
    path.write_text(printed.out)
    assert read(str(path)).applications[0].target.deployments[0].resources is not None


def test_build_says_what_is_wrong_with_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "without_it.py").write_text("other = 1")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["build", "without_it:app"]) == 1
    assert "import path 'without_it:app': module 'without_it' has no attribute 'app'" in capsys.readouterr().err


def assert_valid(manifest: dict[str, Any]) -> None:
    """Hold a manifest to the models as kubectl does, and to the CRD's schema."""
    ServeApplication.from_manifest(manifest, strict=True)
    jsonschema.Draft7Validator(crd.resource_schema()).validate(manifest)
