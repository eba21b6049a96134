"""A whole service more takes its folder, its contract, a line of the topology, and its layers.

In a copy of the repository `new_service` is added as README.md says, and `souk gen` is run; then it
is imported, checked and served like the others, and what clusters lack of it is named.
"""

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from services.local import ports, readiness
from services.local.program import Program, running
from tests.conftest import MakeDatabase
from tests.platform.scratch_copy import changed, copied, path_of, python, run

NEW = Path(__file__).parent / "new_service"
TOPOLOGY = "services/local/topology.py"

LINE = """\
    Service(name="loyalty", port=50056, stores=frozenset({"postgres"})),
"""
LAYERS = """
[[tool.importlinter.contracts]]
id = "loyalty-layers"
name = "Inside loyalty, imports go down"
type = "layers"
containers = ["services.loyalty"]
layers = ["__main__", "app", "servicer", "store", "settings", "domain"]
exhaustive = true
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """A copy of the repository with one service more."""
    copy = copied(tmp_path_factory.mktemp("repository"))
    shutil.copytree(NEW, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    topology = copy / TOPOLOGY
    before, end, after = topology.read_text(encoding="utf-8").partition("\n)\n\nIDENTITIES")
    topology.write_text(f"{before}\n{LINE.rstrip()}{end}{after}", encoding="utf-8")
    python(copy, "services.local.gen")
    return copy


def test_nothing_else_is_written_by_hand(repository):
    """All that changed beside the service's own files and its line is derived."""
    own = {str(path.relative_to(NEW)) for path in NEW.rglob("*") if path.is_file()}
    derived = changed(repository) - own - {TOPOLOGY}
    allowed = re.compile(
        r"proto/gen/.+|kong/.+|charts/.+/derived/.+|charts/.+/rules/objectives\.yaml|docs/access-matrix\.md"
        r"|charts/monitoring/dashboards/.+|charts/.+/values\.schema\.json|deploy/vault/.+"
    )
    assert [path for path in derived if not allowed.fullmatch(path)] == []


def test_the_platform_knows_it(repository):
    """Kong routes to it, the gateway and the network reach it, Vault gives it a database."""
    kong = yaml.safe_load((repository / "kong/kong.yaml").read_text(encoding="utf-8"))
    routes = {route["name"] for service in kong["services"] for route in service["routes"]}
    assert {"loyalty.get-balance", "loyalty.watch-balance", "loyalty.get-balance.grpc"} <= routes
    mesh = yaml.safe_load((repository / "charts/gateway/derived/mesh.yaml").read_text())
    assert "loyalty:50051" == mesh["upstreams"]["souk.loyalty.v1.LoyaltyService"]
    callers = yaml.safe_load((repository / "charts/loyalty/derived/mesh.yaml").read_text())
    assert ["gateway", "order"] == callers["callers"]
    assert "souk_loyalty_owner" in (repository / "deploy/vault/databases.sql").read_text()


def test_what_it_lacks_is_named(repository):
    """Its layers, and each file that containers and clusters have by hand, by path and by name."""
    files = ("tests/unit/local/test_topology.py", "tests/platform/test_every_service.py")
    options = ("-p", "no:cacheprovider", "--numprocesses", "0", "--quiet")
    told = python(repository, "pytest", *options, *files, exit_code=1)
    assert "pyproject.toml: layers of services.loyalty" in told
    lacking = re.findall(r"AssertionError: lacks, has too much: (\S+)\n.*\{'loyalty", told)
    assert {
        *(".github/workflows/release.yml", "charts/loyalty", "deploy/aws/variables.tf"),
        *("deploy/docker/Dockerfile", "deploy/gitops/images/k3d"),
        *("deploy/gitops/images/production", "deploy/vault/access.yaml", "k3d/up", "compose.yaml"),
    } == set(lacking)


def test_its_imports_are_checked(repository):
    """Once it has layers, import-linter holds it to them and to what binds every service."""
    with (repository / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(LAYERS)
    lint = str(Path(sys.executable).parent / "lint-imports")
    told = run(repository, lint, "--no-logo", "--no-cache", environment=path_of(repository))
    assert "Inside loyalty, imports go down KEPT" in told


async def test_it_is_served(repository, make_database: MakeDatabase):
    """It migrates its database and serves, and its policy refuses who is not signed in."""
    address, probe = (ports.address(port) for port in ports.free(2))
    environment = {
        **path_of(repository),
        "SOUK_DATABASE_URL": await make_database(),
        "SOUK_LISTEN": address,
        "SOUK_PROBE_LISTEN": probe,
        "SOUK_TLS": "off",
    }
    run(
        repository,
        *(sys.executable, "-P", "-m", "services.loyalty", "migrate"),
        environment=environment,
    )
    program = Program(
        name="loyalty",
        argv=(sys.executable, "-P", "-m", "services.loyalty"),
        environment=environment,
        check=lambda: readiness.check_grpc(probe),
    )
    async with running(program), grpc.aio.insecure_channel(address) as channel:
        get_balance: Any = channel.unary_unary("/souk.loyalty.v1.LoyaltyService/GetBalance")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await get_balance(b"", timeout=60)
    assert grpc.StatusCode.UNAUTHENTICATED == refused.value.code()
