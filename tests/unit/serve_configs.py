"""A config file of Ray Serve with nearly everything in it, and the code beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

CONFIG = """
proxy_location: EveryNode
http_options: {host: 0.0.0.0, port: 8011, root_path: /out, request_timeout_s: 2.5, keep_alive_timeout_s: 9}
grpc_options: {port: 9001, grpc_servicer_functions: [words_grpc.add_WordsServicer_to_server], enable_reflection: true}
logging_config: {log_level: DEBUG}
target_capacity: 50
applications:
- name: Shop_1
  route_prefix: /shop/
  import_path: shop.app
  runtime_env:
    env_vars: {MODE: fast}
    working_dir: code
    pip: [torch]
  args: {word: hi}
  deployments:
  - name: Word
    num_replicas: 2
    max_ongoing_requests: 10
    max_queued_requests: 3
    user_config: {x: [1, 2]}
    graceful_shutdown_timeout_s: 0.5
    health_check_period_s: 5
    ray_actor_options:
      num_cpus: 0.1
      num_gpus: 0.5
      memory: 1000000
      resources: {odd: 1, "example.com/chip": 2}
      accelerator_type: A100
      runtime_env: {env_vars: {INNER: "1"}}
    max_replicas_per_node: 1
    rolling_update_percentage: 0.5
    max_surge_percent: 0
    max_constructor_retry_count: 2
    some_later_option: 3
- name: inner
  route_prefix: null
  import_path: shop:inner
  deployments:
  - name: Scaled
    num_replicas: auto
    autoscaling_config:
      {min_replicas: 2, target_ongoing_requests: 1.5, upscale_delay_s: 2.5, aggregation_function: max,
       policy: {policy_function: "shop:count", policy_kwargs: {most: 3}}, max_replica: 1}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "code" / "pkg").mkdir(parents=True)
    (tmp_path / "code" / ".venv").mkdir()
    (tmp_path / "code" / "shop.py").write_text("import pkg\napp = 1\n")
    (tmp_path / "code" / "pkg" / "__init__.py").write_text("")
    (tmp_path / "code" / ".venv" / "other.py").write_text("no")
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path
