"""Where a request goes: addresses from controllers, one pool of links for each deployment, and what to do when full.

Read `router` (who asks), `pool` (which replica, or the queue), `balancing` (the choice), `link` (one replica),
`addresses` (where they come from), and `forward` and `calls` (one request on its way).
"""
