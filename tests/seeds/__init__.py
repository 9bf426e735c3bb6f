"""Programs in the idioms of an older Ray Serve, as people have them, each run as it is.

What their authors' pages lost in printing is filled in: decorators, `serve.run(…)` and URLs. The port in their URLs is
replaced by the one that the test serves at.
"""
