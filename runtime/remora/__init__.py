"""Remora: serve applications on Ray Core, on a laptop or on Kubernetes."""
