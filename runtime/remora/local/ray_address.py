"""Whether a Ray that runs already lets this process in, asked before Ray is: it tries again for minutes, and says why
only in its log.

One call of `GetClusterId` of Ray's head service, which every Ray of 2.x has, with the token in the metadata
``authorization`` when there is one (Ray's token authentication, 2.52 and later).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from remora.local.errors import CannotServe

PATIENCE_S: Final = 5.0
_METHOD: Final = "/ray.rpc.NodeInfoGcsService/GetClusterId"
_WHERE_FROM: Final = (
    "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to the token that this Ray was started with (or RAY_AUTH_TOKEN_PATH "
    "to a file that holds it; without either ~/.ray/auth_token is read)"
)


def check(address: str, environment: Mapping[str, str], home: Path) -> None:
    """Return when the Ray at ``host:port`` lets us in; raise CannotServe with the reason when it does not.

    Addresses of another form are Ray's to understand. Blocks for `PATIENCE_S` seconds at the most.
    """
    host, _, port = address.rpartition(":")
    if not host or "/" in address or not port.isdigit():
        return
    is_token_mode = environment.get("RAY_AUTH_MODE", "").lower() == "token"
    token = _token(environment, home) if is_token_mode else ""
    match _ask(address, token):
        case "UNAUTHENTICATED" if token:
            raise CannotServe(
                f"the token for the Ray at {address} is not the one that it was started with: {_WHERE_FROM}"
            )
        case "UNAUTHENTICATED" if is_token_mode:
            raise CannotServe(f"the Ray at {address} asks for a token, and none was found: {_WHERE_FROM}")
        case "UNAUTHENTICATED":
            raise CannotServe(f"the Ray at {address} asks for a token: {_WHERE_FROM}")
        case "UNAVAILABLE" | "DEADLINE_EXCEEDED":
            raise CannotServe(
                f"no Ray answers at {address}: `ray start --head` prints the address of one that it starts"
            )
        case _:
            # Another answer is a Ray's all the same; what is wrong with it, ray.init says.
            return


def _token(environment: Mapping[str, str], home: Path) -> str:
    """Return the token from where Ray takes it, in its order; empty if there is none."""
    if given := environment.get("RAY_AUTH_TOKEN", "").strip():
        return given
    path = Path(environment.get("RAY_AUTH_TOKEN_PATH") or home / ".ray" / "auth_token")
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise CannotServe(f"the token in {path} cannot be read: {error}") from error


def _ask(address: str, token: str) -> str:
    """Return the name of gRPC's status; "OK" when Ray answers."""
    import grpc

    metadata = [("authorization", f"Bearer {token}")] if token else []
    # Ray does not go through a proxy for HTTP either.
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            channel.unary_unary(_METHOD)(b"", timeout=PATIENCE_S, metadata=metadata)
        except grpc.RpcError as error:
            return str(error.code().name)
    return "OK"
