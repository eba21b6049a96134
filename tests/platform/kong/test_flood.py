"""What nginx, which Kong is made of, counts before any plugin, by the directives of kong.env."""

import asyncio
import re
import subprocess
from pathlib import Path

import aiohttp
import pytest

from services.local import ports
from services.local.program import Program, running
from services.mesh.rates import rate_limit
from souk.mesh.v1.policy_pb2 import RateClass
from tests.platform.charts import ROOT
from tests.platform.kong.files import environment

NGINX = ROOT / ".tools" / "bin" / "nginx"
FEW = 6
"""Of calls a minute, in the place of the contracts' many."""
HTTP, SERVER = "KONG_NGINX_HTTP_", "KONG_NGINX_PROXY_"

CONFIGURATION = """
daemon off;
error_log stderr;
pid {folder}/pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    set_real_ip_from 127.0.0.0/8;
    real_ip_header X-Forwarded-For;
    real_ip_recursive on;
    {http}
    server {{
        listen {address};
        {server}
        location / {{ deny all; }}
    }}
}}
"""
"""A server that, like Kong's plugins, refuses everybody in nginx' access phase."""


def directives(prefix: str) -> dict[str, str]:
    """Returns those of kong.env that are about counting, as Kong puts them into its own file."""
    return {
        name.removeprefix(prefix).lower(): value
        for name, value in environment().items()
        if name.startswith(f"{prefix}LIMIT_REQ")
    }


def test_an_address_has_what_the_contracts_give_the_busiest():
    """A partner that calls from one place in all classes at once is not stopped by this."""
    most = sum(
        max(rate_limit(rate).per_partner_per_minute, rate_limit(rate).per_address_per_minute)
        for rate in RateClass.values()
        if rate != RateClass.RATE_CLASS_UNSPECIFIED
    )
    assert directives(HTTP)["limit_req_zone"].endswith(f" rate={most}r/m")
    assert f" burst={most} " in directives(SERVER)["limit_req"]


def fewer(given: dict[str, str]) -> str:
    """Returns the directives as nginx reads them, with FEW calls a minute."""
    text = " ".join(f"{name} {value};" for name, value in given.items())
    return re.sub(r"(rate|burst)=[0-9]+", rf"\1={FEW}", text)


@pytest.fixture
def nginx() -> Path:
    """Gives nginx where it runs."""
    if not NGINX.exists():
        pytest.skip("nginx is not installed: `make tools`")
    tried = subprocess.run([NGINX, "-v"], capture_output=True, check=False, timeout=60)  # noqa: S603 - Debian's
    if tried.returncode:
        pytest.skip(f"nginx does not run here: {tried.stderr.decode().strip()}")
    return NGINX


async def test_who_is_refused_is_counted(nginx: Path, tmp_path: Path):
    """Of one address a minute's calls are refused as they are, the rest with 429; others go on."""
    address = ports.address(ports.free()[0])
    http, server = (fewer(directives(prefix)) for prefix in (HTTP, SERVER))
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(
        CONFIGURATION.format(folder=tmp_path, address=address, http=http, server=server)
    )

    async def answers() -> None:
        async with aiohttp.ClientSession() as session, session.get(f"http://{address}/"):
            pass

    program = Program(
        name="nginx",
        argv=(str(nginx), "-p", str(tmp_path), "-c", str(configuration)),
        check=answers,
        log=tmp_path / "nginx.log",
    )
    async with running(program), aiohttp.ClientSession() as session:

        async def statuses(client: str) -> list[int]:
            calls = (
                session.get(f"http://{address}/", headers={"x-forwarded-for": client})
                for _ in range(3 * FEW)
            )
            return sorted([each.status for each in await asyncio.gather(*calls)])

        told = await statuses("203.0.113.7")
        assert set(told) == {403, 429}
        assert told.count(403) > FEW
        assert 403 in await statuses("203.0.113.8")
