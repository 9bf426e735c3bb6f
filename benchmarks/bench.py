"""One run of the benchmark: the hosts that are up, and measuring them in turns. Rows are given this."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks import processes
from benchmarks.goals import Figure, Side
from benchmarks.samples import turns
from benchmarks.sides import Host, SideFailed, answers
from benchmarks.table import Measured
from benchmarks.wrk import LoadFailed

Take = Callable[[Host, float], Mapping[str, float]]
"""Measures one side with loads of so many seconds."""
WARM_UP_S = 1.0
SETTLE_S = 1.5
"""For a side that was stopped while the others were measured, to do what it has missed."""


@dataclass(slots=True)
class Recorder:
    """What a row has measured so far."""

    samples: dict[str, dict[Side, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    failures: dict[Side, str] = field(default_factory=dict)

    def add(self, side: Side, figures: Mapping[str, float]) -> None:
        """Keep what one turn of a side gave."""
        for key, value in figures.items():
            self.samples[key][side].append(value)

    def measured(self, figures: Sequence[Figure]) -> list[Measured]:
        """Return the lines of the table."""
        return [Measured(figure, dict(self.samples[figure.key]), dict(self.failures)) for figure in figures]


@dataclass(frozen=True, slots=True)
class Bench:
    """The sides that are up, how many rounds, and how many seconds a load lasts."""

    hosts: Mapping[Side, Host]
    rounds: int
    seconds: float

    @contextmanager
    def served(self, program: str, recorder: Recorder, sides: Sequence[Side] = tuple(Side)) -> Iterator[list[Host]]:
        """Let the sides serve a program within the block; one that cannot is noted and left out."""
        serving = []
        try:
            for side in sides:
                if side not in self.hosts:
                    continue
                host = self.hosts[side]
                try:
                    host.run(program)
                    serving.append(host)
                    answers(host.url) if program not in NO_PLAIN_GET else None
                except SideFailed as error:
                    recorder.failures[side] = _last_line(error)
                    if host in serving:
                        serving.remove(host)
                        host.delete()
            yield serving
        finally:
            for host in serving:
                host.delete()

    def interleaved(self, program: str, take: Take, sides: Sequence[Side] = tuple(Side)) -> Recorder:
        """Serve a program on all sides and measure them in turns, after a first time that does not count.

        The other sides stand still meanwhile: an idle Ray with its Serve takes a tenth of a core, and there may be two.
        """
        recorder = Recorder()
        with self.served(program, recorder, sides) as serving:
            for number, host in enumerate([*serving, *turns(serving, self.rounds)]):
                if host.side in recorder.failures:
                    continue
                counts = number >= len(serving)
                others = [it.mark for it in self.hosts.values() if it is not host]
                try:
                    with processes.paused(others):
                        time.sleep(SETTLE_S)
                        figures = take(host, self.seconds if counts else WARM_UP_S)
                except (LoadFailed, SideFailed, OSError, ValueError) as error:
                    recorder.failures[host.side] = _last_line(error)
                    continue
                if counts:
                    recorder.add(host.side, figures)
        return recorder


NO_PLAIN_GET = frozenset({"handles"})
"""Programs that need arguments in their query."""


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1][:300]
