"""The command lines and environments with which Ray's own processes are started. Pure.

Every port is pinned, so that network policies can name them; what Remora does not use of Ray is switched off.
"""

from __future__ import annotations

import json
import math

from remora.node import labels
from remora.node.settings import HeadSettings, WorkerSettings
from remora_api.meta import Port

RECONNECT_TIMEOUT_S = 3600
"""How long workers serve on without a head; Ray's own default is a minute."""

_RAY_START = ("python", "-m", "remora.lean_ray", "start")

_LOG_BYTES = 10_000_000
_LOG_BACKUPS = 2


def head(settings: HeadSettings) -> list[str]:
    """Return `ray start` for a head: it has no CPU, so that no user code runs there."""
    return [
        *(*_RAY_START, "--head", "--block", "--disable-usage-stats"),
        *("--node-ip-address", settings.ip, "--port", str(Port.GCS)),
        *("--num-cpus", "0", "--num-gpus", "0", "--include-dashboard", "false"),
        # Ray's autoscaler: the operator decides on pods.
        "--no-monitor",
        *_everywhere(settings.object_store_bytes),
    ]


def worker(settings: WorkerSettings) -> list[str]:
    """Return `ray start` for a worker: it waits for the head, and joins it."""
    named = {
        **settings.labels,
        labels.GROUP: settings.group,
        labels.TEMPLATE: settings.template,
        labels.POD: settings.pod,
        labels.HOST: settings.host,
        labels.CPU_MILLI: str(settings.cpu_milli),
        labels.MEMORY_BYTES: str(settings.memory_bytes),
    }
    gpus = settings.custom.get("GPU", 0)
    others = {name: amount for name, amount in settings.custom.items() if name != "GPU"}
    return [
        *(*_RAY_START, "--block", "--disable-usage-stats"),
        *("--address", settings.head, "--node-ip-address", settings.ip),
        # Whole CPUs only; the controller counts thousandths by the label.
        *("--num-cpus", str(max(1, math.ceil(settings.cpu_milli / 1000))), "--num-gpus", str(math.ceil(gpus))),
        *("--resources", json.dumps(others)),
        *("--labels", ",".join(f"{name}={value}" for name, value in named.items() if value)),
        *_everywhere(settings.object_store_bytes),
    ]


def head_environment(settings: HeadSettings) -> dict[str, str]:
    """Return what a head's processes need in their environment."""
    return {
        **_environment(settings.ray_key),
        "RAY_gcs_storage": "rocksdb",
        "RAY_gcs_storage_path": str(settings.store),
    }


def worker_environment(settings: WorkerSettings) -> dict[str, str]:
    """Return what a worker's processes, user code included, need in their environment."""
    return {
        **_environment(settings.ray_key),
        # Ray starts a worker ahead when a driver comes to a node, and none comes to these.
        "RAY_enable_worker_prestart": "1",
    }


def _environment(ray_key: str) -> dict[str, str]:
    return {
        "RAY_AUTH_MODE": "token" if ray_key else "disabled",
        **({"RAY_AUTH_TOKEN": ray_key} if ray_key else {}),
        "RAY_gcs_rpc_server_reconnect_timeout_s": str(RECONNECT_TIMEOUT_S),
        "RAY_ROTATION_MAX_BYTES": str(_LOG_BYTES),
        "RAY_ROTATION_BACKUP_COUNT": str(_LOG_BACKUPS),
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def _everywhere(object_store_bytes: int) -> list[str]:
    first, last = Port.RAY_WORKERS
    return [
        *("--object-store-memory", str(object_store_bytes)),
        # It carries what processes print to the driver: replicas print to their pod's log themselves.
        *("--include-log-monitor", "false"),
        *("--node-manager-port", str(Port.RAY_NODE_MANAGER)),
        *("--object-manager-port", str(Port.RAY_OBJECT_MANAGER)),
        *("--runtime-env-agent-port", str(Port.RAY_RUNTIME_ENV_AGENT)),
        *("--dashboard-agent-grpc-port", str(Port.RAY_DASHBOARD_AGENT)),
        *("--dashboard-agent-listen-port", str(Port.RAY_DASHBOARD_AGENT_HTTP)),
        *("--metrics-export-port", str(Port.RAY_METRICS)),
        *("--min-worker-port", str(first), "--max-worker-port", str(last)),
    ]
