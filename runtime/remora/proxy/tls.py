"""TLS at the proxy's public port: one context, whose certificate is read again when its files change.

TLS 1.2 at least, with Python's choice of ciphers, and HTTP/1.1 (ALPN, RFC 7301). A new certificate holds for
connections made after it was read; one that cannot be read is logged, and the old one stays.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from remora.errors import RemoraError

logger = logging.getLogger(__name__)

LOOK_S: Final = 5.0
"""How often the files are looked at."""


class BadCertificate(RemoraError):
    """A certificate or its key cannot be used."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where certificate and key lie, in PEM."""

    certificate: Path
    """The chain, the server's own certificate first."""
    key: Path
    password: str = ""
    """Of the key, when it is encrypted."""
    authorities: Path | None = None
    """Certificates that clients' are checked against. As in Ray Serve no client has to bring one."""


class Certificate:
    """What the port's connections are encrypted with: `context`, kept up to date by `watch`."""

    def __init__(self, files: Files) -> None:
        """Read the files; raise BadCertificate."""
        self._files = files
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self._seen = self._state()
        self._load(self.context)
        self._pair = self._read()

    def pair(self) -> tuple[bytes, bytes]:
        """Return the key and the certificate that are in use, for gRPC, which has no contexts."""
        return self._pair

    async def watch(self) -> None:
        """Read the files again whenever they have changed; never returns."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()

    def look(self) -> bool:
        """Read the files again if they have changed; return whether there is a new certificate."""
        state = self._state()
        if state == self._seen:
            return False
        self._seen = state
        try:
            # First elsewhere: a key that does not fit would leave the context with half of each.
            self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
            self._load(self.context)
            self._pair = self._read()
        except BadCertificate as error:
            logger.error("%s; the certificate that was there before stays in use", error)
            return False
        logger.info("the certificate %s was read anew", self._files.certificate)
        return True

    def _read(self) -> tuple[bytes, bytes]:
        return self._files.key.read_bytes(), self._files.certificate.read_bytes()

    def _load(self, context: ssl.SSLContext) -> None:
        files = self._files
        try:
            # Without a password OpenSSL would ask for one at the terminal.
            context.load_cert_chain(files.certificate, files.key, lambda: files.password)
            if files.authorities is not None:
                context.load_verify_locations(files.authorities)
        except (OSError, ssl.SSLError) as error:
            names = ", ".join(str(it) for it in (files.certificate, files.key, files.authorities) if it is not None)
            raise BadCertificate(f"TLS cannot be served with {names}: {error}") from error

    def _state(self) -> tuple[tuple[int, int], ...]:
        """Return what changes when a file does: Kubernetes swaps a link, others write in place."""
        return tuple(_state(path) for path in (self._files.certificate, self._files.key, self._files.authorities))


def _state(path: Path | None) -> tuple[int, int]:
    try:
        found = path.stat() if path is not None else None
    except OSError:
        return 0, -1
    return (found.st_mtime_ns, found.st_ino) if found is not None else (0, 0)
