"""Stands for `ray.serve.experimental`: its modules are looked for by the alias."""

__path__: list[str] = []
"""With a path this is a package, so that modules below it are asked for at all."""
