"""The pure parts of the test cluster: fingerprints, settings, and what is known as ours."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from tests.cluster import binaries, control_plane, node, pki, topology
from tests.cluster.clearing import leftovers, mounts_below
from tests.cluster.cli import parser
from tests.cluster.commands import ClusterError
from tests.cluster.holder import Holder
from tests.cluster.images import mirror, pip_settings
from tests.cluster.locking import asked, render
from tests.cluster.places import Places
from tests.cluster.processes import Daemon, Processes, identify, is_alive
from tests.cluster.recipes import fingerprint, ours
from tests.cluster.settings import Settings

PLACES = Places(Path("/cache"))


def test_settings_come_from_the_environment_or_the_home() -> None:
    assert Settings.of({}, Path("/home/a")) == Settings(Path("/home/a/.cache/remora"), "", required=False)
    chosen = Settings.of({"XDG_CACHE_HOME": "/c", "REMORA_REQUIRE_CLUSTER": "1"}, Path("/home/a"))
    assert chosen == Settings(Path("/c/remora"), "", required=True)


def test_a_fingerprint_changes_with_content_and_name_but_not_with_compiled_files(tmp_path: Path) -> None:
    code = tmp_path / "code"
    (code / "__pycache__").mkdir(parents=True)
    (code / "a.py").write_text("one")
    before = fingerprint(tmp_path, (code,))
    (code / "__pycache__" / "a.pyc").write_text("compiled")
    assert fingerprint(tmp_path, (code,)) == before
    (code / "a.py").write_text("two")
    changed = fingerprint(tmp_path, (code,))
    (code / "a.py").rename(code / "b.py")
    assert len({before, changed, fingerprint(tmp_path, (code,))}) == 3


@pytest.mark.parametrize("recipe", ours(), ids=lambda recipe: recipe.image)
def test_a_dockerfile_copies_only_what_its_fingerprint_covers(recipe: object) -> None:
    chosen = next(each for each in ours() if each == recipe)
    copied = re.findall(r"^COPY (\S+)", chosen.dockerfile.read_text(), re.M)
    assert {chosen.context / path for path in copied} == set(chosen.inputs)


def test_versions_are_those_of_the_go_modules() -> None:
    sources = binaries.SOURCES
    assert f"k8s.io/kubernetes {binaries.KUBERNETES}\n" in (sources / "kube" / "go.mod").read_text()
    assert f"github.com/coredns/coredns {binaries.COREDNS}\n" in (sources / "coredns" / "go.mod").read_text()


def test_nodes_share_no_folder_no_cgroup_and_no_address() -> None:
    one, two = (node.kubelet_settings(each, PLACES) for each in topology.NODES)
    for setting in ("cgroupRoot", "containerRuntimeEndpoint", "podLogsDir", "volumePluginDir"):
        assert one[setting] != two[setting]
    assert len({(each.ip, each.pods, each.namespace) for each in topology.NODES}) == 2


def test_everything_that_listens_in_the_root_namespace_is_on_loopback() -> None:
    argv = control_plane.forward(4711).argv
    assert argv[1] == "TCP-LISTEN:4711,bind=127.0.0.1,fork,reuseaddr"
    assert argv[2].startswith("EXEC:nsenter --net=")


def test_the_api_server_may_be_called_by_loopback() -> None:
    leaf = next(leaf for leaf in pki.leaves() if leaf.name == pki.API_SERVER)
    assert "IP:127.0.0.1" in leaf.names


def test_only_mounts_below_our_folder_are_ours() -> None:
    table = (
        "proc /proc proc rw 0 0\nx /c/cluster/n1/a tmpfs rw\nx /c/cluster-other/b tmpfs rw\nx /c/cluster/n1/a/b t r\n"
    )
    assert mounts_below(Path("/c/cluster"), table) == ["/c/cluster/n1/a", "/c/cluster/n1/a/b"]


def test_a_machine_that_runs_one_cluster_refuses_another_until_that_one_is_down(tmp_path: Path) -> None:
    holder, first, second = Holder(tmp_path / "note"), tmp_path / "first" / "remora", tmp_path / "second" / "remora"
    daemons = Processes(Places(first).processes, Places(first).logs)
    holder.take(first)
    holder.take(second)  # Of the first one nothing lives.
    holder.take(first)
    daemons.ensure(Daemon("etcd", ("sleep", "60")))
    try:
        with pytest.raises(ClusterError, match=f"take it down first, by XDG_CACHE_HOME={tmp_path / 'first'} "):
            holder.take(second)
        holder.leave(second)
        holder.check(first)
        with pytest.raises(ClusterError):
            holder.check(second)
    finally:
        daemons.stop(patience_s=1)
    holder.leave(first)
    holder.check(second)
    assert not holder.note.exists()


def test_a_pid_that_was_given_to_another_process_is_not_ours() -> None:
    me = identify(os.getpid())
    assert is_alive(me)
    assert not is_alive(replace(me, started=me.started - 1))
    assert not is_alive(replace(me, boot="another"))


@pytest.mark.parametrize(
    "sources",
    [
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\n",
        "deb [signed-by=/k] http://mirror.example/debian/ bookworm main\n",
    ],
    ids=["new style", "old style"],
)
def test_the_mirror_is_that_of_the_machine(sources: str) -> None:
    assert mirror(f"# a comment\n{sources}") == "http://mirror.example/debian"
    assert mirror("URIs: http://mirror.example/debian-security\n") is None


def test_settings_of_pip_that_mean_nothing_in_a_build_stay_outside() -> None:
    listing = "global.cert='/etc/c.crt'\n:env:.find-links='/somewhere'\n:env:.timeout='60'\nglobal.timeout='5'\n"
    assert pip_settings(":env:.find-links='/x'\n") == "[global]\n"
    assert "cert = /etc/c.crt" in pip_settings(listing)


def test_flags_after_kubectl_are_left_to_kubectl() -> None:
    assert parser().parse_args(["kubectl", "get", "pods", "-A", "--help"]).words == ["get", "pods", "-A", "--help"]
    assert parser().parse_args(["exec", "curl", "-s", "http://a"]).words == ["curl", "-s", "http://a"]


def test_settings_that_are_as_they_should_be_are_not_touched(tmp_path: Path) -> None:
    """kube-proxy ends itself when its file is written, even with the same content."""
    places, one = Places(tmp_path), topology.NODES[0]
    node.write(one, places)
    files = [path for path in places.node(one).rglob("*") if path.is_file()]
    for path in files:
        os.utime(path, ns=(0, 0))
    node.write(one, places)
    assert {path.stat().st_mtime_ns for path in files} == {0}


def test_an_extra_asks_for_what_the_extras_it_names_ask_for() -> None:
    extras = {"proxy": ["uvicorn>=0.40"], "runtime": ["remora[proxy]", "ray==2.60.*"]}
    project = {"name": "remora", "dependencies": ["pyyaml>=6"], "optional-dependencies": extras}
    assert asked(project, "runtime") == ["pyyaml>=6", "ray==2.60.*", "uvicorn>=0.40"]


def test_a_lock_file_holds_names_and_versions_alone() -> None:
    item = {"metadata": {"name": "Typing_Extensions", "version": "4.1"}, "download_info": {"url": "https://host/x"}}
    assert render("runtime", {"install": [item]}).splitlines()[1:] == ["typing-extensions==4.1"]


def test_a_program_gets_the_clusters_names_and_its_words_as_they_are(tmp_path: Path) -> None:
    command = topology.with_names(tmp_path / "with space" / "resolv.conf", ["cat", "/etc/my file"])
    assert command[-2:] == ["cat", "/etc/my file"]
    assert f"'{tmp_path}/with space/resolv.conf' /etc/resolv.conf" in command[4]
    assert f"nameserver {topology.DNS_IP}\n" in topology.RESOLVER


def test_what_a_cluster_left_behind_is_told_from_who_asks_it_something(tmp_path: Path) -> None:
    places = Places(tmp_path)
    places.state.mkdir()
    sleeping = ["sh", "-c", "read line", f"--config={places.state}/n1/kubelet.yaml"]
    asking = ["sh", "-c", "read line", f"--kubeconfig={places.kubeconfig}"]
    with Popen(sleeping, stdin=PIPE) as daemon, Popen(asking, stdin=PIPE) as kubectl:
        left = leftovers(places)
        daemon.communicate()
        kubectl.communicate()
    assert f"process {daemon.pid}" in left
    assert f"process {kubectl.pid}" not in left
    assert f"folder {places.state}" in left
