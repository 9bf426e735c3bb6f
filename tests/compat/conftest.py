"""The cases are run by `test_on_remora` in a process of their own, never in this one."""

collect_ignore = ["cases"]
