"""Ray's own processes in the pods: what PID 1 of head and workers does before, beside and after `ray start`."""
