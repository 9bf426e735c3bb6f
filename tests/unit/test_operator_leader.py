"""Leader election: one leads, another takes over, nobody writes after the deadline."""

import asyncio
from dataclasses import replace

import pytest

from remora_operator.leader import Leader, LeadershipLost, Lease, LeaseConflict, LeaseUnreachable, Seen, may_take


class MemoryLease:
    """The Lease of an API server in memory, with its optimistic locking."""

    def __init__(self) -> None:
        self.lease: Lease | None = None
        self.reachable = True
        self._version = 0

    async def read(self) -> Lease | None:
        self._check()
        return self.lease

    async def create(self, lease: Lease) -> Lease:
        self._check()
        if self.lease is not None:
            raise LeaseConflict("it exists")
        return self._keep(lease)

    async def replace(self, lease: Lease) -> Lease:
        self._check()
        if self.lease is None or lease.version != self.lease.version:
            raise LeaseConflict("it has changed")
        return self._keep(lease)

    def _keep(self, lease: Lease) -> Lease:
        self._version += 1
        self.lease = replace(lease, version=str(self._version))
        return self.lease

    def _check(self) -> None:
        if not self.reachable:
            raise LeaseUnreachable("no answer")


def leader(lease: MemoryLease, identity: str) -> Leader:
    loop = asyncio.get_running_loop()
    return Leader(
        lease, identity, clock=loop.time, timestamp=lambda: f"{loop.time():.6f}",
        lease_duration_s=1, renew_deadline_s=0.3, retry_s=0.02,
    )  # fmt: skip


async def test_one_of_two_leads_and_the_other_follows_when_it_gives_back() -> None:
    lease, order, begun, release = MemoryLease(), [], asyncio.Event(), asyncio.Event()

    async def first() -> None:
        order.append("first")
        begun.set()
        await release.wait()
        order.append("first ends")

    async def second() -> None:
        order.append("second")

    one = asyncio.create_task(leader(lease, "one").lead(first))
    await begun.wait()
    two = asyncio.create_task(leader(lease, "two").lead(second))
    await asyncio.sleep(0.06)
    assert order == ["first"]
    release.set()
    async with asyncio.timeout(5):
        await asyncio.gather(one, two)
    assert order == ["first", "first ends", "second"]
    assert lease.lease is not None
    assert lease.lease.holder == ""


async def test_a_leader_that_cannot_renew_stops_its_work_before_anyone_can_take_over() -> None:
    lease, stopped = MemoryLease(), asyncio.Event()
    loop = asyncio.get_running_loop()
    mine = leader(lease, "one")

    async def work() -> None:
        lease.reachable = False
        try:
            await asyncio.Event().wait()
        finally:
            assert not mine.is_leading()
            stopped.set()

    began = loop.time()
    with pytest.raises(LeadershipLost):
        async with asyncio.timeout(5):
            await mine.lead(work)
    assert stopped.is_set()
    assert loop.time() - began < 1, "within the lease's duration"


async def test_a_dead_leaders_lease_is_taken_when_it_has_aged() -> None:
    lease, led = MemoryLease(), asyncio.Event()
    await lease.create(Lease("dead", "1", 1, 7))

    async def work() -> None:
        led.set()

    async with asyncio.timeout(5):
        await leader(lease, "two").lead(work)
    assert led.is_set()
    assert lease.lease is not None
    assert lease.lease.transitions == 8


async def test_an_error_of_the_work_reaches_the_caller_and_gives_the_lease_back() -> None:
    lease = MemoryLease()

    async def work() -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        await leader(lease, "one").lead(work)
    assert lease.lease is not None
    assert lease.lease.holder == ""


@pytest.mark.parametrize(
    ("holder", "age_s", "expected"),
    [
        pytest.param("", 0.0, True, id="given back"),
        pytest.param("me", 0.0, True, id="ours"),
        pytest.param("other", 14.9, False, id="another's, fresh"),
        pytest.param("other", 15.1, True, id="another's, aged"),
    ],
)
def test_who_may_take_a_lease(holder: str, age_s: float, expected: bool) -> None:
    assert may_take(Seen(Lease(holder, "t", 15, 0), 100.0), "me", 100.0 + age_s) is expected
