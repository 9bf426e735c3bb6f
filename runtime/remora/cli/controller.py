"""`remora controller`: the controller of a head pod. Hands Ray its token before anything imports Ray."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from remora import structured_log
from remora.controller.settings import ControllerSettings


def main(arguments: Sequence[str]) -> int:
    """Run the controller until SIGTERM, or until Ray is lost: then the exit code is 1, and it is started anew."""
    parser = argparse.ArgumentParser(prog="remora controller", description=(__doc__ or "").partition("\n")[0])
    parser.parse_args(arguments)
    structured_log.configure()
    settings = ControllerSettings.read()
    settings.prepare_ray()

    from remora.controller import process

    return process.run(settings)
