"""Spans by OpenTelemetry, which is imported only where tracing is on: `pip install 'remora[tracing]'`.

    proxy_http_request ─▶ route_to_replica ─▶ replica_handle_request ─▶ route_to_replica (a handle's) ─▶ …

Names and attributes are Ray Serve's. `proxy.tracing` makes the spans of a proxy, `service` stands around a replica's
code, `caller` around handles, a replica's and a program's. Where tracing is off none of them is there, and nothing is
asked for a request.
"""
