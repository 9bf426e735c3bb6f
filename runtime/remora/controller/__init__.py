"""The controller: brings replicas into being on a Ray cluster, and tells proxies and the operator about them.

`python -m remora controller` on the head pod, or in the process of `remora run`. Reading order: `loop` takes in news
(`events`) and asks the `planner`; `performer` and `cluster` do what it says; `api` publishes `routes` and `status`.
"""
