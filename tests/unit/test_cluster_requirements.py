"""What keeps a machine from hosting the test cluster is said in one sentence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.cluster.requirements import Facts, missing, parse_go

ABLE = Facts(
    system="Linux",
    is_root=True,
    go=(1, 26),
    has_apt=True,
    packages_missing=(),
    filesystems=frozenset({"overlay", "ext4"}),
    has_cgroups=True,
    can_make_namespaces=True,
    disk_gib=50,
    memory_gib=16,
    is_built=False,
)


def test_a_machine_that_has_everything_misses_nothing() -> None:
    assert missing(ABLE) is None


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        pytest.param(replace(ABLE, system="Darwin"), "needs Linux", id="another system"),
        pytest.param(replace(ABLE, is_root=False), "sudo", id="not root"),
        pytest.param(replace(ABLE, go=None), "install Go 1.24", id="no Go"),
        pytest.param(replace(ABLE, go=(1, 19)), "this is Go 1.19", id="an old Go"),
        pytest.param(replace(ABLE, has_apt=False, packages_missing=("runc",)), "runc", id="nothing to install with"),
        pytest.param(replace(ABLE, filesystems=frozenset({"ext4"})), "overlayfs", id="no overlayfs"),
        pytest.param(replace(ABLE, has_cgroups=False), "cgroups", id="no cgroups"),
        pytest.param(replace(ABLE, can_make_namespaces=False), "namespaces", id="no namespaces"),
        pytest.param(replace(ABLE, disk_gib=2), "free disk", id="a full disk"),
        pytest.param(replace(ABLE, memory_gib=1), "memory", id="little memory"),
    ],
)
def test_what_is_missing_is_named_in_one_line(facts: Facts, named: str) -> None:
    reason = missing(facts)
    assert reason is not None
    assert named in reason
    assert "\n" not in reason


def test_go_is_not_asked_for_once_everything_is_built() -> None:
    assert missing(replace(ABLE, go=None, is_built=True)) is None


def test_packages_that_apt_can_install_are_not_missing() -> None:
    assert missing(replace(ABLE, packages_missing=("runc",))) is None


@pytest.mark.parametrize(
    ("said", "version"), [("go version go1.26.8 linux/amd64", (1, 26)), ("go version devel", None)]
)
def test_the_version_of_go_is_read(said: str, version: tuple[int, int] | None) -> None:
    assert parse_go(said) == version
