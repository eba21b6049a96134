"""What `souk up` says once all is ready: where things are, who can sign in, what to try first."""

import shlex
import shutil
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from services.local.console import Console
from services.local.demo.accounts import Account
from services.local.endpoints import Endpoints
from services.local.ports import LOOPBACK

_TOOLS = Path(".tools/bin/grpcurl")
_COLUMNS = 78


def show(
    console: Console, where: Endpoints, accounts: Mapping[str, Account], seconds: float
) -> None:
    """Writes the welcome; `seconds` is how long the start took."""
    console.line()
    console.heading(f"Souk is ready after {seconds:.1f} s; Ctrl-C stops it, its data stays.")
    for line in (*_places(where), "", *_people(accounts), "", *_first_steps(where, accounts)):
        console.line(f"  {line}" if line else "")
    console.line()


def curl_lines(where: Endpoints, accounts: Mapping[str, Account]) -> list[str]:
    """Returns the first calls over REST, each to be pasted into a shell."""
    account = accounts["customer"]
    login = f'{{"email":"{account.email}","password":"{account.password}"}}'
    return [
        f"curl -s '{where.gateway}/v1/products?query=coffee&pageSize=2'",
        f"curl -s {where.gateway}/v1/sessions -H 'content-type: application/json' -d '{login}'",
    ]


def grpcurl_lines(where: Endpoints) -> list[str]:
    """Returns the first calls over gRPC, each to be pasted into a shell."""
    program = str(_TOOLS) if _TOOLS.exists() else "grpcurl"
    certs = _shortest(where.certs_folder)
    identity = " ".join(
        f"-{option} {shlex.quote(str(certs / file))}"
        for option, file in (
            ("cacert", "ca.pem"),
            ("cert", "developer.pem"),
            ("key", "developer-key.pem"),
        )
    )
    call = f"{program} {identity}"
    product = where.grpc["product"]
    method = "souk.product.v1.ProductService/ListProducts"
    return [
        f"{call} {product} list",
        f'{call} -d \'{{"query":"coffee","page_size":2}}\' {product} {method}',
    ]


def _places(where: Endpoints) -> list[str]:
    # A port stays beside its name when the line is broken.
    ports = " ".join(f"{name}\N{NO-BREAK SPACE}{_port(at)}" for name, at in where.grpc.items())
    return [
        f"REST      {where.gateway}   /docs   /openapi.json",
        *(
            line.replace("\N{NO-BREAK SPACE}", " ")
            for line in textwrap.wrap(
                f"gRPC      {LOOPBACK}   {ports}", _COLUMNS, subsequent_indent=" " * 22
            )
        ),
        f"Redis     {_without_password(where.redis)}   (try SUBSCRIBE order.created)",
    ]


def _port(address: str) -> str:
    return address.rpartition(":")[2]


def _without_password(url: str) -> str:
    """Hides who signs in and how, which a server elsewhere may need."""
    parts = urlsplit(url)
    secret, at, server = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"***@{server}" if secret and at else server))


def _people(accounts: Mapping[str, Account]) -> list[str]:
    width = max(len(account.email) for account in accounts.values())
    return [
        f"{'Account' if place == 0 else '':<10}{account.email:<{width}}  {account.password}"
        for place, account in enumerate(accounts.values())
    ]


def _first_steps(where: Endpoints, accounts: Mapping[str, Account]) -> list[str]:
    data = shlex.quote(str(_shortest(where.certs_folder.parent)))
    demo = f"{_command()} demo{'' if data == '.souk' else f' --data {data}'}"
    return ["Try", *curl_lines(where, accounts), *grpcurl_lines(where), demo]


def _command() -> str:
    """Returns how this command is called from here, whether or not it is on the PATH."""
    return "souk" if shutil.which("souk") else str(_shortest(Path(sys.executable).parent / "souk"))


def _shortest(path: Path) -> Path:
    """Returns the path as seen from the working directory when that is below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
