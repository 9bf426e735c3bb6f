"""What a controller finds when it starts anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from remora.controller import versions
from remora.controller.checkpoint import (
    Checkpoint,
    DamagedCheckpoint,
    Saved,
    replica_from_bytes,
    replica_to_bytes,
    saved_of,
)
from remora.controller.lifecycle import Phase
from remora.controller.performer import graph_of
from remora.graph.result import BuildResult, BuiltDeployment
from remora_api.target import code_bundle
from tests.unit.worlds import graph, target, with_replicas, world


def test_finds_again_what_was_saved(tmp_path: Path) -> None:
    wanted = target(code=code_bundle({"m.py": "app = 1"}), args={"a": [1, None]})
    before = with_replicas(world(wanted, graph("A", "B", user_config={"x": 1})), "A", Phase.RUNNING, Phase.STARTING)
    Checkpoint(tmp_path).save(before)
    assert Checkpoint(tmp_path).load() == saved_of(before)


def test_versions_and_settings_are_the_same_after_a_restart(tmp_path: Path) -> None:
    written = BuiltDeployment(
        name="A",
        digest="d",
        ingress=True,
        custom={"GPU": 1},
        group={"bundles": [{"CPU": 1}, {"GPU": 2}], "strategy": "SPREAD"},
        user_config={"x": (1, 2)},
        graceful_shutdown_timeout_s=5,
        health_check_period_s=3,
        health_check_timeout_s=2,
    )
    before = world(target(), graph_of(BuildResult(ingress="A", deployments=(written,), definitions={})))
    Checkpoint(tmp_path).save(before)
    after = Checkpoint(tmp_path).load()
    ((was,), (now_is,)) = (versions.resolve(it.serving["app"]) for it in (before, after))
    assert (now_is.version, now_is.settings) == (was.version, was.settings)


def test_a_first_start_finds_nothing(tmp_path: Path) -> None:
    assert Checkpoint(tmp_path / "new").load() == Saved()


@pytest.mark.parametrize("text", [b"{", b'{"targets": {"\xff": 1}}', b'{"targets": 1}', b""])
def test_a_damaged_file_is_named(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "state.json").write_bytes(text)
    with pytest.raises(DamagedCheckpoint, match=r"state\.json"):
        Checkpoint(tmp_path).load()


def test_an_unchanged_world_is_not_written_again(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    checkpoint.save(world(target(), graph("A")))
    written = (tmp_path / "state.json").stat().st_ino
    checkpoint.save(world(target(), graph("A")))
    assert (tmp_path / "state.json").stat().st_ino == written


def test_definitions_are_kept_as_long_as_somebody_may_ask(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    checkpoint.put_definition("defA", b"a")
    checkpoint.put_definition("defold", b"o")
    built = graph("A")
    checkpoint.save(world(target(), type(built)("A", (type(built.deployments[0])(name="A", definition="defA"),))))
    checkpoint.load()
    assert (checkpoint.definition("defA"), checkpoint.definition("defold")) == (b"a", None)
    assert checkpoint.definition("../state.json") is None


def test_a_replica_carries_its_own_record() -> None:
    (replica,) = with_replicas(world(target(), graph("A")), "A", Phase.STARTING).replicas.values()
    assert replica_from_bytes(replica_to_bytes(replica)) == replica
    with pytest.raises(DamagedCheckpoint):
        replica_from_bytes(b"{}")
