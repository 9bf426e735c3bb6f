"""Reports that take longer than a request may: POST /reports enqueues one, GET /reports/<id> says how far it is."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from fastapi import FastAPI
from ray import serve
from ray.serve.schema import CeleryAdapterConfig, TaskProcessorConfig
from ray.serve.task_consumer import instantiate_adapter_from_config, task_consumer, task_handler


def queue() -> CeleryAdapterConfig:
    """Redis where REDIS_URL says so; else files in a folder, which do for trying on one machine."""
    if redis := os.environ.get("REDIS_URL"):
        return CeleryAdapterConfig(
            broker_url=f"{redis}/0",
            backend_url=f"{redis}/1",
            # What a killed replica was at is delivered again after so many seconds.
            broker_transport_options={"visibility_timeout": 600},
        )
    folder = Path(os.environ.get("TASKS_FOLDER", Path(tempfile.gettempdir()) / "reports"))
    for name in ("queue", "control", "results"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    files = {"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control"}
    return CeleryAdapterConfig(
        broker_url="filesystem://",
        backend_url=f"file://{folder / 'results'}",
        broker_transport_options={option: str(folder / name) for option, name in files.items()},
    )


REPORTS = TaskProcessorConfig(
    queue_name="reports", adapter_config=queue(), max_retries=1, failed_task_queue_name="reports.failed"
)
FAILED = TaskProcessorConfig(queue_name="reports.failed", adapter_config=queue())


@serve.deployment(num_replicas=1, max_ongoing_requests=2, graceful_shutdown_timeout_s=30)
@task_consumer(task_processor_config=REPORTS)
class Writer:
    """Works on two reports at once."""

    @task_handler(name="report")
    def write(self, text: str) -> dict[str, object]:
        """Count words, as slowly as a model would."""
        words = text.split()
        if not words:
            raise ValueError("the text has no words")
        time.sleep(0.1)
        return {"words": len(words), "longest": max(words, key=len)}


@serve.deployment
@task_consumer(task_processor_config=FAILED)
class Failures:
    """Hears of reports that failed for good."""

    @task_handler(name="report")
    def note(self, task_id: str, reason: str, *_: str) -> None:
        """Write it down."""
        print(f"report {task_id} failed: {reason}", flush=True)


web = FastAPI(title="Reports")


@serve.deployment
@serve.ingress(web)
class Desk:
    """Takes orders, and says what became of them."""

    def __init__(self, *_consumers: object) -> None:
        """Consumers are part of the application because they are bound to it; nobody calls them."""
        self._queue = instantiate_adapter_from_config(REPORTS)

    @web.post("/reports", status_code=202)
    def order(self, text: str) -> dict[str, str]:
        """Enqueue, and answer at once."""
        return {"id": self._queue.enqueue_task_sync("report", kwargs={"text": text}).id}

    @web.get("/reports/{id}")
    def state(self, id: str) -> dict[str, object]:
        """Return the state, with the report when it is there."""
        found = self._queue.get_task_status_sync(id)
        if found.status == "FAILURE":
            return {"status": found.status, "error": str(found.result)}
        return {"status": found.status, "report": found.result}


app = Desk.bind(Writer.bind(), Failures.bind())
