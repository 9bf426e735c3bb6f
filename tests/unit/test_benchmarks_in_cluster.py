"""What the benchmark in the cluster applies, and takes along for its client."""

from pathlib import Path

import pytest

from benchmarks.goals import Side
from benchmarks.in_cluster import image, manifests

LDD = """\tlinux-vdso.so.1 (0x00007fc733cb8000)
\tlibluajit-5.1.so.2 => /lib/x86_64-linux-gnu/libluajit-5.1.so.2 (0x00007fc733c06000)
\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007fc733b21000)
\tlibssl.so.3 => /lib/x86_64-linux-gnu/libssl.so.3 (0x00007fc733a78000)
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007fc733894000)
\t/lib64/ld-linux-x86-64.so.2 (0x00007fc733cba000)
"""


def test_the_client_takes_its_libraries_along_but_not_the_c_library() -> None:
    folder = Path("/lib/x86_64-linux-gnu")
    assert image.libraries(LDD) == [folder / "libluajit-5.1.so.2", folder / "libssl.so.3"]


@pytest.mark.parametrize("side", list(Side))
def test_each_side_serves_under_a_service_of_its_name(side: Side) -> None:
    objects = manifests.side(side, "noop", "app = None", "image")
    kinds = {it["kind"] for it in objects}
    assert kinds == ({"ServeApplication"} if side is Side.REMORA else {"Pod", "Service"})
    assert {it["metadata"]["name"] for it in objects} == {manifests.NAMES[side]}
    assert manifests.url(side, "bench").startswith(f"http://{manifests.NAMES[side]}.bench.svc:")
