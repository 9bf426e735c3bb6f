"""Whether anything is left of requests that were answered, cancelled, or whose client went: ``make soak-leaks``.

`servers` are proxy, caller and callee, a process each, that count what they hold; `clients` ask, cancel and go;
`soak` lets the ones at the others and compares before and after.
"""
