"""Ray as Remora starts it, in local mode and in pods: without the processes of Ray's own that serve nobody there.

`lean` leaves out those that Ray can do without, `agents` gives the raylet stand-ins for the two that it insists on, and
`stand_in` is their program. `python -m remora.lean_ray start …` is Ray's own `ray start …` with both; that of a worker
has its raylet start Ray's workers by `workers`, too: as forks of a `template`, by the program `forked`.
"""
