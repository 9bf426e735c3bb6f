"""Remora: serve applications on Ray Core, on a laptop or on Kubernetes.

`from remora import serve` is where users begin.
"""

__version__ = "0.1.0"
