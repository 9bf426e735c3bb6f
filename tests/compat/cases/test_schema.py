"""Models of the config file, as programs that write and check such files use them."""

import pytest
from ray.serve.schema import (
    DeploymentSchema,
    HTTPOptionsSchema,
    LoggingConfig,
    RayActorOptionsSchema,
    ServeApplicationSchema,
    ServeDeploySchema,
    gRPCOptionsSchema,
)

FILE = {
    "proxy_location": "HeadOnly",
    "http_options": {"host": "127.0.0.1", "port": 9001, "request_timeout_s": 2.5},
    "grpc_options": {"grpc_servicer_functions": ["greeter_grpc.add_GreeterServicer_to_server"]},
    "logging_config": {"encoding": "JSON", "log_level": "DEBUG"},
    "applications": [
        {
            "name": "shop",
            "route_prefix": "/shop",
            "import_path": "shop.main:app",
            "runtime_env": {"working_dir": "s3://bucket/code.zip", "env_vars": {"MODE": "fast"}},
            "args": {"word": "hi"},
            "deployments": [
                {
                    "name": "Word",
                    "num_replicas": 2,
                    "user_config": {"x": [1, 2]},
                    "max_queued_requests": 3,
                    "ray_actor_options": {"num_cpus": 0.5, "resources": {"odd": 1}},
                },
                {"name": "Scaled", "num_replicas": "auto", "autoscaling_config": {"max_replicas": 4}},
            ],
        },
        {"name": "inner", "route_prefix": None, "import_path": "shop.main.inner"},
    ],
}


def with_application(**changes):
    return {"applications": [{**FILE["applications"][0], **changes}]}


def refused(model, **given):
    with pytest.raises(ValueError):
        model(**given)
    return True


def test_a_whole_file_is_read_and_dumped():
    read = ServeDeploySchema.model_validate(FILE)
    assert read.model_dump(exclude_unset=True, mode="json") == FILE
    assert (read.proxy_location.value, read.http_options.port, read.grpc_options.port) == ("HeadOnly", 9001, 9000)
    assert (read.target_capacity, read.controller_options, read.tracing_config) == (None, None, None)
    assert [application.name for application in read.applications] == ["shop", "inner"]
    assert read.applications[0].deployment_names == ["Word", "Scaled"]
    assert ServeDeploySchema(**read.model_dump(exclude_unset=True)) == read
    assert ServeDeploySchema.model_validate_json(read.model_dump_json(exclude_unset=True)) == read
    assert ServeDeploySchema.get_empty_schema_dict() == {"applications": []}


def test_a_file_has_defaults():
    read = ServeDeploySchema(applications=[])
    assert (read.proxy_location.value, read.http_options.host, read.http_options.port) == ("EveryNode", "0.0.0.0", 8000)
    assert read.logging_config is None
    assert set(read.model_dump(mode="json")) == {
        *("proxy_location", "http_options", "grpc_options", "controller_options", "logging_config"),
        *("tracing_config", "applications", "target_capacity"),
    }
    assert ServeDeploySchema(applications=[], later="option").model_dump(exclude_unset=True) == {"applications": []}


def test_applications_of_a_file_differ():
    first, second = FILE["applications"]
    assert refused(ServeDeploySchema)
    assert refused(ServeDeploySchema, applications=[first, {**second, "name": "shop"}])
    assert refused(ServeDeploySchema, applications=[first, {**second, "route_prefix": "/shop"}])
    assert refused(ServeDeploySchema, applications=[{**first, "name": ""}])
    assert refused(ServeDeploySchema, applications=[{**first, "host": "127.0.0.1"}])
    assert refused(ServeDeploySchema, applications=[{**first, "port": 8001}])
    assert refused(ServeDeploySchema, applications=[], target_capacity=101)
    assert refused(ServeDeploySchema, applications=[], proxy_location="Nowhere")
    assert len(ServeDeploySchema(applications=[{**second, "name": "a"}, {**second, "name": "b"}]).applications) == 2


def test_an_application_is_checked():
    read = ServeApplicationSchema(import_path="m:app")
    assert (read.name, read.route_prefix, read.host, read.port) == ("default", "/", "0.0.0.0", 8000)
    assert (read.deployments, read.args, read.runtime_env, read.logging_config) == ([], {}, {}, None)
    assert read.model_dump(exclude_unset=True) == {"import_path": "m:app"}
    for path in ("m.app", "a.b:c", "a.b.c"):
        assert ServeApplicationSchema(import_path=path).import_path == path
    for path in ("m", ":app", "m:", "a:b:c", ".app", "m.", 3, None):
        assert refused(ServeApplicationSchema, import_path=path)
    assert refused(ServeApplicationSchema)
    assert refused(ServeApplicationSchema, import_path="m:app", port="many")
    assert refused(ServeApplicationSchema, import_path="m:app", args=[1])
    assert refused(ServeApplicationSchema, import_path="m:app", deployments=[{"num_replicas": 2}])
    scaled = [{"name": "A", "num_replicas": "auto"}]
    assert refused(ServeApplicationSchema, import_path="m:app", external_scaler_enabled=True, deployments=scaled)
    assert ServeApplicationSchema(import_path="m:app", later="option").name == "default"
    assert ServeApplicationSchema.get_empty_schema_dict()["import_path"] == ""


def test_code_is_where_every_node_can_fetch_it():
    for uri in ("https://host/x.zip", "s3://b/x.zip", "gs://b/x.zip", "file:///x.zip", "local:///opt/code"):
        assert ServeApplicationSchema(import_path="m:app", runtime_env={"working_dir": uri}).runtime_env
        assert RayActorOptionsSchema(runtime_env={"py_modules": [uri]}).runtime_env == {"py_modules": [uri]}
    for uri in ("./code", "/opt/code", "local://code", "ftp://host/x.zip"):
        assert refused(ServeApplicationSchema, import_path="m:app", runtime_env={"working_dir": uri})
        assert refused(RayActorOptionsSchema, runtime_env={"py_modules": [uri]})


def test_options_of_a_deployment_are_checked():
    made = DeploymentSchema(name="A", max_ongoing_requests=3, health_check_period_s=2, logging_config={})
    assert isinstance(made.logging_config, LoggingConfig)
    assert made.model_dump(exclude_unset=True, exclude={"logging_config"}) == {
        "name": "A",
        "max_ongoing_requests": 3,
        "health_check_period_s": 2.0,
    }
    assert refused(DeploymentSchema)
    for wrong in (
        {"num_replicas": 0},
        {"num_replicas": "many"},
        {"num_replicas": 2, "autoscaling_config": {"max_replicas": 3}},
        {"max_ongoing_requests": 0},
        {"max_ongoing_requests": None},
        {"max_queued_requests": 0},
        {"max_queued_requests": -2},
        {"max_queued_requests": "3"},
        {"user_config": [1]},
        {"graceful_shutdown_timeout_s": -1},
        {"health_check_period_s": 0},
        {"health_check_timeout_s": 0},
        {"ray_actor_options": {"num_cpus": -1}},
        {"max_replicas_per_node": 2, "placement_group_bundles": [{"CPU": 1}]},
        {"placement_group_bundle_label_selector": [{"a": "b"}]},
        {"rolling_update_percentage": 0},
        {"rolling_update_percentage": 1.1},
        {"max_surge_percent": 101},
        {"logging_config": {"log_level": "LOUD"}},
        {"backpressure_config": {"status_code": 500}},
    ):
        assert refused(DeploymentSchema, name="A", **wrong), wrong


def test_a_deployment_that_is_scaled_is_known():
    assert DeploymentSchema(name="A", num_replicas="auto").is_autoscaling_configured()
    assert DeploymentSchema(name="A", autoscaling_config={"max_replicas": 3}).is_autoscaling_configured()
    for fixed in ({}, {"num_replicas": 2}, {"autoscaling_config": None}, {"num_replicas": None}):
        assert not DeploymentSchema(name="A", **fixed).is_autoscaling_configured()


def test_needs_of_a_replica_are_checked():
    assert RayActorOptionsSchema().model_dump() == {
        "runtime_env": {},
        "num_cpus": None,
        "num_gpus": None,
        "memory": None,
        "resources": {},
        "accelerator_type": None,
        "label_selector": None,
        "fallback_strategy": None,
    }
    assert RayActorOptionsSchema(num_cpus=1, later=2).model_dump(exclude_unset=True) == {"num_cpus": 1.0}
    for wrong in ({"num_gpus": -1}, {"memory": -1}, {"num_cpus": "two"}, {"resources": 3}):
        assert refused(RayActorOptionsSchema, **wrong)


def test_options_of_the_proxies():
    assert HTTPOptionsSchema().model_dump() == {
        "host": "0.0.0.0",
        "port": 8000,
        "root_path": "",
        "request_timeout_s": None,
        "keep_alive_timeout_s": 90,
        "ssl_keyfile": None,
        "ssl_certfile": None,
        "ssl_keyfile_password": None,
        "ssl_ca_certs": None,
    }
    assert gRPCOptionsSchema(port=9001).model_dump() == {
        "port": 9001,
        "grpc_servicer_functions": [],
        "request_timeout_s": None,
        "enable_reflection": True,
    }
    assert HTTPOptionsSchema(ssl_keyfile="a.key", ssl_certfile="a.crt").ssl_certfile == "a.crt"
    assert refused(HTTPOptionsSchema, ssl_certfile="a.crt")
    assert refused(HTTPOptionsSchema, port="many")
    assert refused(gRPCOptionsSchema, grpc_servicer_functions="one")
