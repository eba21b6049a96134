"""Makes the stubs and the descriptor set under `proto/gen` from the contracts.

    proto/souk/**.proto ─┐          ┌─ proto/gen/souk/**_pb2.py, .pyi, _pb2_grpc.py, .pyi
    google/**.proto      ├─ protoc ─┼─ proto/gen/buf/validate/validate_pb2.py, .pyi
    buf.validate         ┘          └─ proto/gen/souk.binpb

The google.* contracts are files of the installed `googleapis-common-protos` and `grpcio-tools`
packages; `buf.validate` is taken from the descriptor inside `protovalidate`. No contract of a
third party is kept in the repository. What is derived from the descriptor set in turn is made by
`services.local.derived`, in a process that loads the new stubs.
"""

import argparse
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import protovalidate
from google.api import http_pb2
from google.protobuf import descriptor_pb2

VALIDATE = "buf/validate/validate.proto"
DESCRIPTOR_SET = "souk.binpb"

_PLUGINS = ("protoc-gen-mypy", "protoc-gen-mypy_grpc")
_HEADER = '"""Generated from the contracts by `make gen`."""\n'


class GenerationError(Exception):
    """protoc refused the contracts or warned about them; the message is what it printed."""


def generate(root: Path) -> list[str]:
    """Brings `proto/gen` under `root` up to date and returns the paths that changed.

    Files that are already right are left alone, so running processes see no churn.

    Raises:
        GenerationError: a contract does not compile, or compiles with warnings.

    """
    generated = root / "proto" / "gen"
    with TemporaryDirectory() as folder:
        fresh = _build(root / "proto", Path(folder))
        stale = _differences(fresh, _contents(generated))
        for path in stale:
            target = generated / path
            if path in fresh:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(fresh[path])
            else:
                target.unlink()
    return stale


def check(root: Path) -> list[str]:
    """Returns the paths under `proto/gen` that the contracts no longer give, sorted.

    Raises:
        GenerationError: a contract does not compile, or compiles with warnings.

    """
    with TemporaryDirectory() as folder:
        fresh = _build(root / "proto", Path(folder))
    return _differences(fresh, _contents(root / "proto" / "gen"))


def main(arguments: list[str] | None = None) -> int:
    """Runs `python -m services.local.gen [--check]`; returns the exit code."""
    parser = argparse.ArgumentParser(prog="services.local.gen", description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if stale")
    options = parser.parse_args(arguments)
    root = Path(__file__).parents[2]
    try:
        stale = check(root) if options.check else generate(root)
    except GenerationError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for path in stale:
        done = "wrote" if (root / "proto" / "gen" / path).exists() else "removed"
        sys.stdout.write(f"{'stale' if options.check else done} proto/gen/{path}\n")
    sys.stdout.flush()
    return _derive(root, ["--check"] if options.check else []) or int(options.check and bool(stale))


def _derive(root: Path, arguments: list[str]) -> int:
    command = [sys.executable, "-m", "services.local.derived", *arguments]
    return subprocess.run(command, cwd=root, check=False, timeout=120).returncode  # noqa: S603 - ours


def _build(proto: Path, folder: Path) -> dict[str, bytes]:
    """Generates everything into `folder` and returns it as contents by relative path."""
    validate = folder / "validate.binpb"
    validate.write_bytes(_validate_descriptor_set())
    output = folder / "gen"
    output.mkdir()
    contracts = sorted(str(path.relative_to(proto)) for path in proto.glob("souk/**/*.proto"))

    def protoc(*arguments: str) -> None:
        _protoc(f"--proto_path={proto}", f"--descriptor_set_in={validate}", *arguments)

    descriptor_set = output / DESCRIPTOR_SET
    protoc(
        f"--descriptor_set_out={descriptor_set}",
        "--include_imports",
        "--include_source_info",
        *contracts,
    )
    protoc(f"--python_out={output}", f"--mypy_out=quiet:{output}", VALIDATE, *contracts)
    with_services = _files_with_services(descriptor_set, contracts)
    if with_services:
        protoc(f"--grpc_python_out={output}", f"--mypy_grpc_out=quiet:{output}", *with_services)
    for package in {path.parent for path in output.rglob("*.py")}:
        _make_packages(output, package)
    return _contents(output)


def _protoc(*arguments: str) -> None:
    scripts = Path(sysconfig.get_path("scripts"))
    googleapis = Path(http_pb2.__file__).parents[2]
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        *(f"--plugin={plugin}={scripts / plugin}" for plugin in _PLUGINS),
        *arguments,
        f"--proto_path={googleapis}",
    ]
    # Warnings (an unused import, say) count: nothing else in the check would show them.
    result = subprocess.run(  # noqa: S603 - nothing in the command comes from outside
        command, capture_output=True, text=True, check=False, timeout=120
    )
    if result.returncode != 0 or result.stderr:
        raise GenerationError(result.stderr or f"protoc exited with {result.returncode}")


def _validate_descriptor_set() -> bytes:
    """Returns a serialized FileDescriptorSet holding `buf/validate/validate.proto` alone."""
    file = descriptor_pb2.FileDescriptorProto.FromString(
        protovalidate.ViolationPb.desc().file.proto.to_binary()
    )
    return descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString(deterministic=True)


def _files_with_services(descriptor_set: Path, contracts: list[str]) -> list[str]:
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set.read_bytes()).file
    return [file.name for file in files if file.service and file.name in contracts]


def _make_packages(output: Path, package: Path) -> None:
    while package != output:
        (package / "__init__.py").write_text(_HEADER)
        package = package.parent


def _contents(folder: Path) -> dict[str, bytes]:
    """Returns each file's content by its path below `folder`, byte code aside."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def _differences(fresh: dict[str, bytes], present: dict[str, bytes]) -> list[str]:
    paths: Iterable[str] = fresh.keys() | present.keys()
    return sorted(path for path in paths if fresh.get(path) != present.get(path))


if __name__ == "__main__":
    sys.exit(main())
