"""Idioms that existing Ray Serve programs use and that would otherwise burden the core: one module each.

`alias`: `from ray import serve` is Remora. `json`, `request`: `request.json()` with and without `await`.
`reawait`: responses that are awaited twice. `stage`: what a stage after `.then()` gets.
"""
