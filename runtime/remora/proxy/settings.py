"""What a proxy is told at its start: environment and arguments, read once."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from remora.errors import OptionError
from remora.tracing.settings import TRACING_OFF, TracingSettings


@dataclass(frozen=True, slots=True)
class Settings:
    """One proxy's settings. Every field has an environment variable and an argument of its name."""

    data_key: str
    """Proves to controllers and replicas that this is a proxy of theirs."""
    proxy_key: str = ""
    """Who holds it may push routing; without it nobody may."""
    routing_file: Path | None = None
    """JSON of `remora_api.wire.Routing`, used until something newer is pushed; read again when it changes."""
    host: str = "0.0.0.0"
    port: int = 8000
    admin_port: int = 8001
    admin_fd: int | None = None
    """A bound socket in the place of ``admin_port``, whose port whoever starts the proxy knows and nobody can take."""
    lame_s: float = 5.0
    """After SIGTERM: how long to serve as ever while the endpoint disappears from Services and load balancers."""
    drain_s: float = 30.0
    """After that: how long requests may take, and idle connections stay for one last answer."""
    quiet_s: float = 5.0
    """While draining: exit early once nothing was asked for so long."""
    keep_alive_s: int = 75
    """Longer than any load balancer keeps an idle connection, so that it is never the proxy who closes first."""
    hold_s: float = 5.0
    """How long a request waits for a deployment that has lost all its replicas."""
    busy_poll_us: int = 200
    """Wait for the next request or answer so long without sleeping, as long as most come within that time; 0: never."""
    access_log: bool = True
    max_message_bytes: int = 16 * 1024 * 1024
    """Of one WebSocket message of a client, which is held whole; a larger one closes the WebSocket with 1009."""
    grpc_port: int | None = None
    """Serve gRPC there, too; 0 for any free port."""
    tls_certificate: Path | None = None
    """PEM; with it the public port speaks TLS, and nothing else."""
    tls_key: Path | None = None
    tls_authorities: Path | None = None
    tls_password: str = ""
    """Of the key; from the environment only."""
    grpc_tls: bool = False
    """Speak TLS at the gRPC port, too; its key must not be encrypted."""
    tracing: TracingSettings = TRACING_OFF
    """From the environment only."""
    root_path: str = ""
    """Where a proxy in front of this one has put it; it cuts the path, applications see it (ASGI's root_path)."""

    @classmethod
    def read(cls, argv: Sequence[str], environ: Mapping[str, str] | None = None) -> Settings:
        """Read arguments over environment over defaults. Keys come from files only, or from nobody's process list."""
        env = os.environ if environ is None else environ  # noqa: TID251 - settings.py is where the environment is read
        parser = argparse.ArgumentParser(prog="remora proxy", description="Serve HTTP for what is routed here.")
        options = (
            ("--data-key-file", "REMORA_DATA_KEY_FILE", Path, None),
            ("--proxy-key-file", "REMORA_PROXY_KEY_FILE", Path, None),
            ("--routing-file", "REMORA_ROUTING_FILE", Path, None),
            ("--host", "REMORA_HOST", str, "0.0.0.0"),
            ("--port", "REMORA_PORT", int, 8000),
            ("--admin-port", "REMORA_ADMIN_PORT", int, 8001),
            ("--admin-fd", "REMORA_ADMIN_FD", int, None),
            ("--lame-s", "REMORA_LAME_S", float, 5.0),
            ("--drain-s", "REMORA_DRAIN_S", float, 30.0),
            ("--quiet-s", "REMORA_QUIET_S", float, 5.0),
            ("--keep-alive-s", "REMORA_KEEP_ALIVE_S", int, 75),
            ("--hold-s", "REMORA_HOLD_S", float, 5.0),
            ("--busy-poll-us", "REMORA_BUSY_POLL_US", int, 200),
            ("--access-log", "REMORA_ACCESS_LOG", _flag, True),
            ("--grpc-port", "REMORA_GRPC_PORT", int, None),
            ("--root-path", "REMORA_ROOT_PATH", str, ""),
            ("--grpc-tls", "REMORA_GRPC_TLS", _flag, False),
            ("--tls-certificate", "REMORA_TLS_CERTIFICATE", Path, None),
            ("--tls-key", "REMORA_TLS_KEY", Path, None),
            ("--tls-authorities", "REMORA_TLS_AUTHORITIES", Path, None),
            ("--max-message-bytes", "REMORA_MAX_MESSAGE_BYTES", int, 16 * 1024 * 1024),
        )
        for option, variable, kind, default in options:
            given = env.get(variable)
            # argparse applies `type` to defaults that are strings, so a bad variable is reported like a bad argument.
            parser.add_argument(option, type=kind, default=default if given is None else given, help=f"${variable}")
        read = parser.parse_args(argv)
        if read.data_key_file is None:
            parser.error("--data-key-file (or $REMORA_DATA_KEY_FILE) is required")
        if (read.tls_certificate is None) != (read.tls_key is None):
            parser.error("--tls-certificate and --tls-key belong together: give both, or none")
        try:
            tracing = TracingSettings.read(env)
        except OptionError as error:
            parser.error(str(error))
        return cls(
            data_key=_key(parser, read.data_key_file),
            proxy_key=_key(parser, read.proxy_key_file) if read.proxy_key_file else "",
            routing_file=read.routing_file,
            host=read.host,
            port=read.port,
            admin_port=read.admin_port,
            admin_fd=read.admin_fd,
            lame_s=read.lame_s,
            drain_s=read.drain_s,
            quiet_s=read.quiet_s,
            keep_alive_s=read.keep_alive_s,
            hold_s=read.hold_s,
            busy_poll_us=read.busy_poll_us,
            access_log=read.access_log,
            max_message_bytes=read.max_message_bytes,
            root_path=read.root_path,
            grpc_tls=read.grpc_tls,
            tls_certificate=read.tls_certificate,
            tls_key=read.tls_key,
            tls_authorities=read.tls_authorities,
            tls_password=env.get("REMORA_TLS_PASSWORD", ""),
            grpc_port=read.grpc_port,
            tracing=tracing,
        )


def _key(parser: argparse.ArgumentParser, path: Path) -> str:
    try:
        key = path.read_text().strip()
    except OSError as error:
        parser.error(f"cannot read the key file {path}: {error.strerror}")
    if not key:
        parser.error(f"the key file {path} is empty")
    return key


def _flag(text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
