"""The comparison with KubeRay: what is applied, what is counted, and the page."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from benchmarks import processes
from benchmarks.peers import manifests, resources
from benchmarks.peers.manifests import Wanted
from benchmarks.peers.page import SIDES, page
from benchmarks.peers.record import Entry
from benchmarks.peers.rows import ROWS, Row
from benchmarks.peers.traffic import Answer, Probe, Traffic, is_good
from tests.e2e.stage import Load
from tests.e2e.watch import Seen

CHANGED = {
    "over": True,
    "within_s": 240,
    "all_new_s": 12.3,
    "requests": 1500,
    "failed": 3,
    "outage_s": 1.5,
    "p99_ms": 20.1,
    "peak_pods": 6,
    "why": {"ConnectionResetError [Errno 104]": 3},
}


def entry(row: str, side: str, **figures: object) -> Entry:
    return Entry("2026-11-22 14:00", "abc1234", side, row, figures)


def test_the_page_shows_the_newest_of_each_row_and_why_requests_failed() -> None:
    old = entry("code", "KubeRay", **CHANGED | {"failed": 99})
    text = page([old, entry("code", "KubeRay", **CHANGED)], ["2 cores"], "What it shows.")
    assert "12 s until nothing old answers; **3** of 1,500 requests failed, the first and the last 1.5 s apart" in text
    assert "**99**" not in text
    assert "* new code, KubeRay: 3 × `ConnectionResetError [Errno 104]`" in text
    assert "What it shows." in text


def test_the_page_says_what_has_no_figures() -> None:
    broken = Entry("2026-11-22 14:00", "abc1234", "KubeRay", "head", error="AssertionError: no head | in time\nmore")
    text = page([broken], [], "")
    assert "| the head pod killed | not measured | no figures: AssertionError: no head / in time |" in text


@pytest.mark.parametrize("row", [it for it in ROWS if it.only], ids=lambda it: it.key)
def test_a_row_of_one_side_leaves_the_other_out(row: Row) -> None:
    line = next(it for it in page([], [], "").splitlines() if it.startswith(f"| {row.title} |"))
    cells = dict(zip(SIDES, (it.strip() for it in line.split("|")[2:]), strict=False))
    assert {side for side, cell in cells.items() if cell == "–"} == set(SIDES) - {row.only}


def test_a_change_that_is_not_over_in_time_is_said_to_be_so() -> None:
    text = page([entry("image", "KubeRay", **CHANGED | {"over": False})], [], "")
    assert "not over within 240 s" in text


def test_both_sides_get_the_same_of_everything() -> None:
    wanted = Wanted(number="3", image="2", colour="blue", replicas=4)
    (application,) = manifests.remora(wanted, "app3 = 3")
    service = manifests.kuberay(wanted)[-1]
    serve = yaml.safe_load(service["spec"]["serveConfigV2"])["applications"][0]
    cluster = service["spec"]["rayClusterConfig"]
    (worker,) = cluster["workerGroupSpecs"]
    (container,) = worker["template"]["spec"]["containers"]
    assert serve["import_path"] == "peer:app3"
    assert serve["deployments"][0]["num_replicas"] == application["spec"]["deployments"][0]["replicas"] == 4
    assert {"name": "COLOUR", "value": "blue"} in container["env"]
    assert {"name": "COLOUR", "value": "blue"} in application["spec"]["env"]
    assert container["resources"]["requests"] == application["spec"]["workers"][0]["resources"]
    assert container["image"].endswith(":2")
    assert application["spec"]["image"].endswith(":2")


def test_more_replicas_are_the_only_change_that_leaves_the_pods_of_kuberay_alone() -> None:
    def template(wanted: Wanted) -> object:
        cluster = manifests.kuberay(wanted)[-1]["spec"]["rayClusterConfig"]
        return {**cluster, "workerGroupSpecs": [it | {"replicas": 0} for it in cluster["workerGroupSpecs"]]}

    first = Wanted()
    assert template(replace(first, replicas=4, number="2", broken=True)) == template(first)
    for other in (replace(first, image="2"), replace(first, colour="blue"), replace(first, fast=True)):
        assert template(other) != template(first)


def traffic(*answers: Answer, **report: object) -> Traffic:
    counted = {"requests": 10, "failed": 0, "why": {}, "failed_at": [], "gap_s": 0.1, "p99_ms": 5, "streams": 1}
    load = Load(None, counted | {"seen": {}} | report)  # type: ignore[arg-type]
    return Traffic(Probe(list(answers)), Seen(peak=3), load, began=1000.0)


def test_failures_of_both_clients_are_counted() -> None:
    seen = traffic(
        Answer(1000.0, 1001.0, 200, "1 1 red a/1"),
        Answer(1001.0, 1004.0, 0, "ConnectionRefusedError"),
        failed=2,
        why={"ConnectionRefusedError": 1, "500 b''": 1},
        failed_at=[1002.0, 1003.0],
    )
    figures = seen.figures()
    assert (figures["requests"], figures["failed"], figures["outage_s"]) == (13, 3, 2.0)
    assert figures["why"] == {"ConnectionRefusedError": 1, "500 b''": 1, "0 ConnectionRefusedError": 1}


def test_a_change_lasts_until_the_last_old_answer_of_either_client() -> None:
    seen = traffic(
        Answer(1005.0, 1005.1, 200, "1 1 red a/1"),
        Answer(1006.0, 1006.1, 200, "2 1 red b/1"),
        seen={"1 1 red a/1": [990.0, 1007.5], "2 1 red b/1": [1003.0, 1010.0]},
    )
    assert seen.all_new_s("2 1 red ") == 7.5
    assert seen.all_new_s("3 ") == 10.0


def test_fresh_connections_are_good_only_when_all_of_them_are_and_there_are_enough() -> None:
    good, bad = Answer(0, 1, 200, "2 a"), Answer(0, 1, 500, "2 a")
    assert is_good(Probe([bad, good, good]), 2)
    assert not is_good(Probe([good, bad]), 2)
    assert not is_good(Probe([good]), 2)
    assert not is_good(Probe([good, good]), 2, "3 ")


def test_memory_and_cpu_are_read_from_what_the_kernel_says() -> None:
    assert resources.pss_kib("Rss:     900 kB\nPss:     300 kB\nPss_Anon: 200 kB\n") == 300
    assert resources.account("9:name=systemd:/\n4:cpu,cpuacct:/node/pod1/abc\n") == "/node/pod1/abc"
    assert resources.account("0::/user.slice\n") == ""
    assert processes.start_ticks("7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 5 3 0 0 20 0 1 0 4711 12 3") == 4711
    pod = {"status": {"containerStatuses": [{"containerID": "containerd://abc"}, {"name": "waits"}]}}
    assert resources.containers([pod]) == ["abc"]


def test_a_manifest_that_cannot_be_imported_differs_in_its_import_path_only() -> None:
    good, bad = manifests.remora(Wanted(), "")[0], manifests.remora(Wanted(broken=True), "")[0]
    assert bad["spec"] | {"importPath": "peer:app"} == good["spec"]
    assert bad["spec"]["importPath"] == "peer:missing"
