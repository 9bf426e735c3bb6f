"""Memory that a request has freed serves the next one, without a new page from the system."""

import gc
import platform
import subprocess
import sys

import pytest

from remora import memory

BODIES = """
import resource, sys
from remora import memory
if sys.argv[1] == "kept":
    memory.keep_freed()
def bodies():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        held = [b"x" * 1_000_000 for _ in range(8)]
        del held
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
bodies()
print(bodies())
"""


def new_pages(how: str) -> int:
    """Return how many pages a process touches anew for 160 bodies, eight at a time, after as many before."""
    argv = [sys.executable, "-c", BODIES, how]
    return int(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no mallopt")
def test_bodies_reuse_the_pages_of_those_before() -> None:
    assert new_pages("kept") < 200
    assert new_pages("as it comes") > 20_000


def test_no_collection_runs_while_a_process_imports_and_later_ones_pass_over_it() -> None:
    before = gc.get_freeze_count()
    with memory.importing():
        assert not gc.isenabled()
        with memory.importing():
            pass
        assert not gc.isenabled(), "who began it ends it"
    assert gc.isenabled()
    assert gc.get_freeze_count() > before
    gc.unfreeze()
