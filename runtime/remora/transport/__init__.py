"""Remora's own multiplexed socket: how requests travel from proxies and handles to replicas.

Read `frames` (what crosses the wire), `handshake` (who may speak), `credits` (how much may be on its way), `messages`
(what heads hold), `stream` and `connection` (one request, one socket), then the two ends: `client` and `server`.
"""
