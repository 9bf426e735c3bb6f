"""The benchmark inside a cluster: client pod → Service → proxy → replica, beside bare uvicorn and Ray Serve in pods."""
