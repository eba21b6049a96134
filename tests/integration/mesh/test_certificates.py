"""Certificates are renewed under running servers and clients."""

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from cryptography import x509

from services.local import certs, rollover
from services.mesh import certificate_metrics, certificates, clients
from services.mesh.errors import RemoteError
from services.mesh.settings import MeshSettings, SettingsError
from tests import echo_server
from tests.conftest import Eventually
from tests.echo import EchoRequest, EchoStub
from tests.echo_server import calling, echoing, mesh_of


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


async def test_a_server_trusts_the_next_authority_beside_the_present_one(folder: Path) -> None:
    """While both are trusted both get in; then only who has a certificate of the next one."""
    async with echoing(folder) as at:
        before = echo_server.settings(folder, "gateway", targets={"echo": at.address})
        async with (
            clients.open_mesh("gateway", before) as stale,
            clients.open_mesh("gateway", before) as unused,
        ):
            rollover.introduce(folder)
            old = EchoStub(stale.channel("echo"))
            first = await old.Public(EchoRequest())
            rollover.reissue(folder, echo_server.IDENTITIES)
            async with calling(folder, at) as stub:
                second = await stub.Public(EchoRequest())
            rollover.retire(folder)
            async with calling(folder, at) as stub:
                third = await stub.Public(EchoRequest())
            with pytest.raises(grpc.aio.AioRpcError):
                await EchoStub(unused.channel("echo")).Public(EchoRequest(), timeout=2)
    assert ["gateway"] * 3 == [first.service, second.service, third.service]


async def test_a_roll_over_fails_no_call(folder: Path, eventually: Eventually) -> None:
    """A client that calls all the while sees no failure, whichever step is taken."""
    period = timedelta(milliseconds=20)
    stopped = asyncio.Event()
    calls = 0

    async def call(stub: Any) -> None:
        nonlocal calls
        while not stopped.is_set():
            await stub.Public(EchoRequest())
            calls += 1

    async with (
        echoing(folder) as at,
        mesh_of(folder, "gateway", at, reload_period=period) as mesh,
        asyncio.TaskGroup() as tasks,
    ):
        for _ in range(4):
            tasks.create_task(call(EchoStub(mesh.channel("echo"))))

        async def heard(_step: str) -> None:
            now = (folder / "ca.pem").read_bytes(), (folder / "gateway.pem").read_bytes()

            async def is_taken_up() -> bool:
                return now in {(each.ca, each.certificate) for each in certificates.in_use()}

            await eventually(is_taken_up)
            reached = calls + 20

            async def goes_on() -> bool:
                return calls > reached

            await eventually(goes_on)

        await rollover.finish(folder, echo_server.IDENTITIES, heard)
        stopped.set()
    assert calls > 60


async def test_expiry_is_told_by_identity(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics tell when what is shown and trusted expires, as its certificate says."""
    ca = (folder / "ca.pem").read_bytes()
    async with echoing(folder):
        # Without what other tests of this process have left.
        ours = [each for each in certificates.in_use() if each.ca == ca]
        monkeypatch.setattr(certificates, "in_use", lambda: ours)
        shown, trusted = certificate_metrics.collect()
    leaf = certs.certificates(folder)["echo"]
    told = {each.labels["fingerprint"]: each for each in (*shown.samples, *trusted.samples)}
    assert told[certs.fingerprint(leaf)].labels["name"] == "echo"
    assert told[certs.fingerprint(leaf)].value == leaf.not_valid_after_utc.timestamp()
    assert certs.fingerprint(certs.trusted(folder)[0]) in told


async def test_a_half_written_renewal_changes_nothing(folder: Path) -> None:
    """While key and certificate do not belong together, the former pair stays in force."""
    async with echoing(folder) as at:
        before = await shown_serial(at.address, folder)
        other = certs.issue(certs.make_ca(), "echo")
        (folder / "echo-key.pem").write_bytes(other.key_pem)
        assert before == await shown_serial(at.address, folder)
        (folder / "echo.pem").write_bytes(b"")
        assert before == await shown_serial(at.address, folder)


async def test_a_client_renews_its_channels(folder: Path, eventually: Eventually) -> None:
    """A client with a new certificate makes new connections, and no running call breaks."""
    serials: list[int] = []

    async def behave(_request: Any, context: Any) -> None:
        shown = context.auth_context()["x509_pem_cert"][0]
        serials.append(x509.load_pem_x509_certificate(shown).serial_number)

    period = timedelta(milliseconds=50)
    async with (
        echoing(folder, behave) as at,
        calling(folder, at, reload_period=period) as stub,
    ):
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


async def test_a_stream_outlives_the_exchange_of_its_connection(folder: Path) -> None:
    """Who reads a stream gets all of it, though its connection was left while it began."""
    async with echoing(folder) as at, mesh_of(folder, "gateway", at) as mesh:
        channel = mesh.channel("echo")
        await EchoStub(channel).Public(EchoRequest())
        call = EchoStub(channel).Watch(EchoRequest(text="here"), timeout=60)
        channel.renew()
        texts = [each.text async for each in call]
    assert ["here", "here"] == texts


async def test_a_stream_that_is_cut_off_has_failed(folder: Path) -> None:
    """A stream that gRPC cancels is a failure of the call, not the end of who reads it."""
    async with echoing(folder) as at, mesh_of(folder, "gateway", at) as mesh:
        call = EchoStub(mesh.channel("echo")).Watch(EchoRequest(text="stay"), timeout=60)
        with pytest.raises(RemoteError) as raised:
            async for _ in clients.answers(call):
                call.cancel()
    assert "UNAVAILABLE" == raised.value.code


async def test_who_is_cancelled_while_reading_ends(folder: Path) -> None:
    """Whoever is to end does so, and is not told of a failure instead."""
    async with echoing(folder) as at, mesh_of(folder, "gateway", at) as mesh:
        call = EchoStub(mesh.channel("echo")).Watch(EchoRequest(text="stay"), timeout=60)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                async for _ in clients.answers(call):
                    pass
        assert call.cancelled()
