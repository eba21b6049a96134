"""The real agent writes into the pods of our charts what their processes read."""

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.local import topology
from services.local.derived.vault import policies, read
from tests.platform.vault import openbao
from tests.platform.vault.injection import Pod

CHARTS = [*(service.name for service in topology.SERVICES), "gateway"]
# What the template of the certificate writes besides its own file.
_PARTS = ("tls.key", "ca.crt", "tls.crt")
ACCOUNTS = [workload.account for workload in read().workloads]


@pytest.fixture
def pod(rendered: dict[str, dict[str, Any]], request: Any, tmp_path: Path) -> Pod:
    """Gives the pod of the ServiceAccount that the test names."""
    return Pod(template=rendered[request.param], files=tmp_path / "vault")


def test_pods_ask_for_exactly_what_the_table_gives(rendered, tmp_path):
    """Every path in an annotation is in the policy of that pod, and every one there is used."""
    asked = {
        account: set(Pod(template=template, files=tmp_path).secrets)
        for account, template in rendered.items()
    }
    given = {
        workload.account: policies.grants(workload).keys() - policies.OWN_TOKEN.keys()
        for workload in read().workloads
    }
    assert asked == given


@pytest.mark.parametrize("pod", ACCOUNTS, indirect=True)
async def test_the_agent_writes_every_file_that_the_process_is_told_of(
    configured, put_secrets, pod, tmp_path, eventually
):
    """The init container's agent fetches all, and the sidecar's has it again from those files.

    Agents write a certificate's parts in place and again and again, so one of them may be empty for
    a moment. Each can be read by its owner alone, and certificate and key belong together.
    """
    await put_secrets(pod)
    token = tmp_path / "token"
    token.write_text(configured.api.token(pod.account))
    told = {
        name: Path(value)
        for name, value in pod.environment.items()
        if value.startswith(str(pod.files))
    }
    assert told
    await openbao.agent_once(tmp_path, configured.vault, pod.agent(token, once=True))
    for name in _PARTS:
        (pod.files / "secrets" / name).unlink(missing_ok=True)

    async def written() -> dict[str, bytes] | None:
        texts = {name: _text(path) for name, path in told.items()}
        return texts if all(texts.values()) else None

    async with openbao.agent(tmp_path, configured.vault, pod.agent(token, once=False)):
        texts = await eventually(written)
    files = [file for path in told.values() for file in _files(path)]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o400}
    if "SOUK_TLS_CERT" in texts:
        _check_identity(pod.account, texts)


def _files(path: Path) -> list[Path]:
    return list(path.glob("[!.]*")) if path.is_dir() else [path]


def _text(path: Path) -> bytes:
    """Returns what the file holds, or all files of the folder; nothing if one of them is empty."""
    texts = [file.read_bytes() if file.exists() else b"" for file in _files(path)]
    return b"".join(texts) if all(texts) else b""


def _check_identity(account: str, texts: Mapping[str, bytes]) -> None:
    """Checks that the certificate names the service, fits the key, and the authority signed it."""
    leaf = x509.load_pem_x509_certificate(texts["SOUK_TLS_CERT"])
    sans = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = sans.get_values_for_type(x509.UniformResourceIdentifier)
    assert uris == [f"spiffe://souk/{account}"]
    assert leaf.public_key() == load_pem_private_key(texts["SOUK_TLS_KEY"], None).public_key()
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(texts["SOUK_TLS_CA"]))
