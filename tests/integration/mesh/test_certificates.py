"""Certificates are renewed under running servers and clients."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from cryptography import x509

from services.local import certs
from services.mesh import certificates, clients
from services.mesh.settings import MeshSettings, SettingsError
from tests import echo_server
from tests.conftest import Eventually
from tests.echo import EchoRequest, EchoStub
from tests.echo_server import calling, echoing


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make everybody's certificates."""
    echo_server.make_certificates(tmp_path)
    return tmp_path


def reissue(folder: Path, name: str) -> int:
    """Give `name` another certificate of the same authority; returns its serial number."""
    (folder / f"{name}.pem").unlink()
    certs.ensure(folder, [name])
    return x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes()).serial_number


async def shown_serial(address: str, folder: Path) -> int:
    """Return the serial number of the certificate that a server shows."""
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / "gateway.pem", folder / "gateway-key.pem")
    context.set_alpn_protocols(["h2"])
    host, _, port = address.partition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    shown: Any = writer.get_extra_info("ssl_object")
    serial = x509.load_der_x509_certificate(shown.getpeercert(binary_form=True)).serial_number
    writer.close()
    return serial


async def test_a_server_shows_its_renewed_certificate(folder: Path) -> None:
    """New connections see the new certificate; those that are open go on."""
    async with echoing(folder) as at, calling(folder, at) as stub:
        await stub.Public(EchoRequest())
        before = await shown_serial(at.address, folder)
        renewed = reissue(folder, "echo")
        after = await shown_serial(at.address, folder)
        answer = await stub.Public(EchoRequest(text="still here"))
    assert renewed == after != before
    assert answer.text == "still here"


async def test_a_server_trusts_a_renewed_authority(folder: Path) -> None:
    """When everything is renewed, those with new certificates get in and those without do not."""
    async with echoing(folder) as at:
        old = echo_server.settings(folder, "gateway", targets={"echo": at.address})
        async with clients.open_mesh("gateway", old) as stale:
            certs.rotate(folder, echo_server.IDENTITIES)
            async with calling(folder, at) as stub:
                answer = await stub.Public(EchoRequest())
            with pytest.raises(grpc.aio.AioRpcError):
                await EchoStub(stale.channel("echo")).Public(EchoRequest(), timeout=2)
    assert answer.service == "gateway"


async def test_a_half_written_renewal_changes_nothing(folder: Path) -> None:
    """While key and certificate do not belong together, the former pair stays in force."""
    async with echoing(folder) as at:
        before = await shown_serial(at.address, folder)
        other = certs.issue(certs.make_ca(), "echo")
        (folder / "echo-key.pem").write_bytes(other.key_pem)
        assert before == await shown_serial(at.address, folder)
        (folder / "echo.pem").write_bytes(b"")
        assert before == await shown_serial(at.address, folder)


async def test_a_client_renews_its_channels(
    folder: Path, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client with a new certificate makes new connections, and no running call breaks."""
    monkeypatch.setattr(clients, "_PERIOD_SECONDS", 0.05)
    serials: list[int] = []

    async def behave(_request: Any, context: Any) -> None:
        shown = context.auth_context()["x509_pem_cert"][0]
        serials.append(x509.load_pem_x509_certificate(shown).serial_number)

    async with echoing(folder, behave) as at, calling(folder, at) as stub:
        watch = stub.Watch(EchoRequest(text="stay"))
        await watch.read()
        renewed = reissue(folder, "gateway")

        async def is_renewed() -> bool:
            await stub.Public(EchoRequest())
            return serials[-1] == renewed

        await eventually(is_renewed)
        assert (await watch.read()).text == "stay"
        watch.cancel()
    assert serials[0] != renewed


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"tls_key": None}, "are required"),
        ({"tls_ca": Path("/nowhere/ca.pem")}, "No such file"),
        ({"tls_key": Path("order-key.pem")}, "does not belong"),
        ({"tls_cert": Path("order-key.pem")}, "Are you sure this is a cert"),
    ],
)
def test_unusable_certificates_are_told(
    folder: Path, changes: dict[str, Path | None], fault: str
) -> None:
    """What is wrong with the files is told at the start, not at the first call."""
    placed = {name: path and folder / path for name, path in changes.items()}
    settings: MeshSettings = echo_server.settings(folder, "echo", **placed)
    with pytest.raises(SettingsError, match=fault):
        certificates.credential_files(settings)
