"""The images, built and run for real: `make check-images`, where a Docker engine runs.

They are small and hold nothing that nobody needs; compose.yaml brings the shop up from them, and
it sells.
"""

import gzip
import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.local import topology

ROOT = Path(__file__).parents[2]
SERVICES = (*(service.name for service in topology.SERVICES), "sandbox", "gateway")
IMAGES = (*SERVICES, "setup")
BASE_IMAGE = os.environ.get("BASE_IMAGE", "debian:bookworm-slim")
PULLS = os.environ.get("SOUK_IMAGES_PULL") == "1"
"""Whether the stores' and Kong's own images can be pulled."""

NO_COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}

MEGABYTE = 1_000_000
BUILD_SECONDS = 1200
FORBIDDEN = (
    "bin/sh",
    "bin/bash",
    "bin/dash",
    "bin/busybox",
    "bin/pip",
    "bin/gcc",
    "bin/cc",
    "bin/apt",
    "bin/perl",
)


def run(*command: str | Path, timeout: float = 120) -> bytes:
    """Runs a command in the repository; returns what it printed, fails with its complaint."""
    done = subprocess.run(  # noqa: S603 - the commands stand below
        command,
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=timeout,
        env={**os.environ, "DOCKER_BUILDKIT": "0", **({} if PULLS else NO_COLLECTOR)},
    )
    complaint = done.stderr.decode(errors="replace")[-3000:]
    assert done.returncode == 0, f"{' '.join(map(str, command))}:\n{complaint}"
    return done.stdout


def docker(*arguments: str, timeout: float = 120) -> bytes:
    """Runs docker."""
    return run(shutil.which("docker") or "docker", *arguments, timeout=timeout)


def build(tag: str, dockerfile: str, *arguments: str) -> None:
    """Builds one image of the repository, with the network of this machine."""
    docker(
        *("build", "--quiet", "--network", "host", "--build-arg", f"BASE_IMAGE={BASE_IMAGE}"),
        *("--file", dockerfile, "--tag", tag, *arguments, "."),
        timeout=BUILD_SECONDS,
    )


@pytest.fixture(scope="session", autouse=True)
def images() -> None:
    """All images of the repository, built."""
    for name in IMAGES:
        build(f"souk/{name}", "deploy/docker/Dockerfile", "--target", name)


@pytest.fixture(scope="session")
def saved() -> dict[str, bytes]:
    """The image of the order service as `docker save` writes it: content by path."""
    with tarfile.open(fileobj=io.BytesIO(docker("save", "souk/order"))) as tar:
        return {
            member.name: file.read()
            for member in tar
            if (file := tar.extractfile(member)) is not None
        }


def layers(name: str) -> list[str]:
    """Returns the digests of an image's layers, the lowest first."""
    found: list[str] = json.loads(
        docker("image", "inspect", "--format", "{{json .RootFS.Layers}}", f"souk/{name}")
    )
    return found


def test_an_image_is_at_most_50_megabytes_compressed(saved):
    """What a node pulls for a service, as a registry keeps it."""
    (manifest,) = json.loads(saved["manifest.json"])
    sizes = [len(gzip.compress(saved[layer], compresslevel=6)) for layer in manifest["Layers"]]
    assert sum(sizes) <= 50 * MEGABYTE, f"{sum(sizes) / MEGABYTE:.1f} MB in layers of {sizes}"


@pytest.mark.parametrize("name", [service.name for service in topology.SERVICES])
def test_services_differ_by_one_small_layer(name):
    """All but the last layer are the very same; the last one, a service's code, is under 1 MB."""
    assert layers(name)[:-1] == layers("order")[:-1]
    sizes = docker("history", "--human=false", "--format", "{{.Size}}", f"souk/{name}").split()
    assert max(map(int, sizes[:2])) < MEGABYTE


@pytest.mark.parametrize("name", SERVICES)
def test_there_is_no_shell_no_installer_no_compiler(name):
    """Whoever breaks in finds Python and the service."""
    container = docker("create", f"souk/{name}").decode().strip()
    try:
        exported = docker("export", container)
    finally:
        docker("rm", container)
    with tarfile.open(fileobj=io.BytesIO(exported)) as tar:
        names = tar.getnames()
    assert [path for path in names if path.endswith(FORBIDDEN)] == []
    assert [path for path in names if path.startswith("app/services/local")] == []


@pytest.mark.parametrize("name", SERVICES)
def test_nobody_is_root(name):
    """The image names an unprivileged user by number, as Kubernetes' `runAsNonRoot` wants it."""
    user = docker("image", "inspect", "--format", "{{.Config.User}}", f"souk/{name}")
    assert user == b"65532:65532\n"


def test_no_secret_is_in_an_image():
    """Neither the environment nor the commands of the build name a secret."""
    for name in IMAGES:
        told = docker("image", "inspect", "--format", "{{json .Config.Env}}", f"souk/{name}")
        told += docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", f"souk/{name}")
        assert [
            word for word in ("PASSWORD", "TOKEN", "SECRET", "_KEY=") if word.encode() in told
        ] == []


def compose(*arguments: str, timeout: float = 120) -> bytes:
    """Runs docker-compose on compose.yaml, with stand-ins where no image can be pulled."""
    files = ("compose.yaml", *(() if PULLS else ("tests/platform/stand_ins/compose.yaml",)))
    options = (part for file in files for part in ("--file", file))
    return run(ROOT / ".tools/bin/docker-compose", *options, *arguments, timeout=timeout)


@pytest.fixture(scope="session")
def shop() -> Iterator[None]:
    """The shop as compose.yaml brings it up, demo data included."""
    if not PULLS:
        build("souk-test/stores", "tests/platform/stand_ins/Dockerfile")
    try:
        compose("up", "--detach", "--no-build", timeout=300)
        compose("wait", "demo", timeout=240)
        yield
    finally:
        compose("down", "--volumes", "--timeout", "5")


@pytest.mark.usefixtures("shop")
def test_compose_sells_a_product():
    """A customer signs up, buys, is charged and notified; Redis tells of the order."""
    told = compose("run", "--rm", "--no-deps", "demo", "buy", "/souk")
    assert b"The purchase went through." in told
