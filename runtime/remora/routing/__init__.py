"""Request routers of users' own.

A deployment names one in its `request_router_config`; every process with handles to the deployment runs an instance of
it (`policy`). Proxies run no user code: for HTTP the default router decides.
"""
