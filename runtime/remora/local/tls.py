"""TLS of local mode, as Ray Serve's `http_options` say it: `ssl_certfile` and `ssl_keyfile`, in PEM."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from remora.errors import OptionError
from remora.proxy.tls import Files


class LocalTls(Files):
    """What the proxy is to encrypt with, and how its process is told."""

    __slots__ = ()

    @classmethod
    def of(cls, http: Mapping[str, Any]) -> LocalTls | None:
        """Return what the options say, None for HTTP in the clear.

        Raises OptionError for one of the two files without the other, and for a file that is not there.
        """
        certificate, key, authorities = (_file(http, name) for name in ("ssl_certfile", "ssl_keyfile", "ssl_ca_certs"))
        if (certificate is None) != (key is None):
            missing = "ssl_certfile" if certificate is None else "ssl_keyfile"
            raise OptionError(f"http_options: ssl_certfile and ssl_keyfile belong together, and {missing} is missing")
        if certificate is None or key is None:
            return None
        return cls(certificate, key, str(http.get("ssl_keyfile_password") or ""), authorities)

    def arguments(self) -> dict[str, object]:
        """Return the arguments of the proxy's process."""
        found: dict[str, object] = {"--tls-certificate": self.certificate, "--tls-key": self.key}
        if self.authorities is not None:
            found["--tls-authorities"] = self.authorities
        return found

    def environment(self) -> dict[str, str]:
        """Return what is not to be read in a list of processes."""
        return {"REMORA_TLS_PASSWORD": self.password} if self.password else {}


def _file(http: Mapping[str, Any], name: str) -> Path | None:
    given = http.get(name)
    if not given:
        return None
    path = Path(given).absolute()
    if not path.is_file():
        raise OptionError(f"http_options.{name} is {given!r}, and there is no such file")
    return path
