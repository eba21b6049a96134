"""`python -m gateway`: what it prints, what it refuses, where descriptors come from."""

import json
from pathlib import Path

import aiohttp
import google.api
import grpc.aio
import pytest
from grpc_tools import protoc
from openapi_spec_validator import validate

from services.mesh import reflection as mesh_reflection
from souk.user.v1.user_service_pb2 import DESCRIPTOR
from tests.integration.gateway.echo import Echo
from tests.integration.gateway.process import output, running
from tests.unit.gateway.protos import HEADER, compiled, everything

PLAINTEXT = "in plaintext; --upstream-ca asks by TLS"


async def test_routes_are_a_table_or_json(descriptor_file):
    """`routes` lists every binding, for people and for programs."""
    code, table, _ = await output("routes", "--descriptors", str(descriptor_file))
    assert (0, ["METHOD", "PATH", "BODY", "RPC"]) == (code, table.splitlines()[0].split())
    _, text, _ = await output("routes", "--json", "--descriptors", str(descriptor_file))
    routes = json.loads(text)
    assert len(routes) == len(table.splitlines()) - 1
    assert {
        "method": "POST",
        "path": "/v1/texts/{text}:child",
        "rpc": "test.v1.Echo.Post",
        "pathFields": ["text"],
        "body": "child",
        "responseBody": None,
        "clientStreaming": False,
        "serverStreaming": False,
    } in routes


async def test_openapi_is_printed(descriptor_file):
    """`openapi` prints a valid document."""
    code, text, _ = await output("openapi", "--descriptors", str(descriptor_file))
    document = json.loads(text)
    validate(document)
    assert (0, "3.1.0") == (code, document["openapi"])


@pytest.mark.parametrize(
    ("arguments", "faults"),
    [
        ((), ["give --descriptors, --reflect or both"]),
        (("--descriptors", "/nowhere.binpb"), ["/nowhere.binpb: No such file or directory"]),
        (("--descriptors", __file__), [f"{__file__}: not a file descriptor set"]),
        (
            ("--reflect", "127.0.0.1:1"),
            [f"--reflect 127.0.0.1:1 ({PLAINTEXT}): the server cannot be reached"],
        ),
        (
            ("--reflect", "127.0.0.1:1", "--upstream-ca", __file__),
            [f"{__file__}: holds no certificate as PEM"],
        ),
        (
            ("--reflect", "nowhere", "--listen", "x:99999", "--upstream", "a", "--upstream", "b=c",
             "--upstream-key", "k"),
            ["--upstream a: expected pkg.Service=HOST:PORT", "--upstream b: 'c' is no host:port",
             "--listen: 'x:99999' is no host:port", "--reflect: 'nowhere' is no host:port",
             "--upstream-cert and --upstream-key belong together"],
        ),
    ],
)  # fmt: skip
async def test_what_cannot_be_served_is_told(arguments, faults):
    """Every fault has its line; there is no traceback, and the exit code is 2."""
    code, _, errors = await output("serve", *arguments)
    assert (2, ["the gateway cannot start:", *(f"  {fault}" for fault in faults)]) == (
        code, errors.splitlines()
    )  # fmt: skip


async def test_methods_without_a_policy_are_refused(descriptor_file):
    """`--access policy`, the default, serves no method that has no policy."""
    arguments = ("--descriptors", str(descriptor_file), "--upstream", "*=127.0.0.1:1")
    code, _, errors = await output("serve", *arguments)
    lines = errors.splitlines()[-1 - len(everything().methods) :]
    assert (2, "  test.v1.Echo.Get has no policy") == (code, lines[0])
    assert "  --access open serves contracts without policies" == lines[-1]


async def test_a_service_without_upstream_is_refused(descriptor_file):
    """Each bound service needs an upstream."""
    arguments = ("--descriptors", str(descriptor_file), "--upstream", "other.Service=127.0.0.1:1")
    code, _, errors = await output("serve", "--access", "open", *arguments)
    assert (2, "  test.v1.Echo: no --upstream serves it") == (code, errors.splitlines()[1])


async def test_a_taken_port_is_told(echo: Echo, descriptor_file):
    """An address that another has ends with 1 and a line."""
    arguments = ("--descriptors", str(descriptor_file), "--upstream", f"*={echo.address}")
    code, _, errors = await output(
        "serve", "--access", "open", "--listen", echo.address, *arguments
    )
    expected = f"the gateway cannot listen on {echo.address}: Address already in use\n"
    assert (1, expected) == (code, errors)


async def test_missing_imports_are_told(tmp_path):
    """What protoc left out is named with how to put it in; Google's own files need not be there."""
    (tmp_path / "shelf.proto").write_text('syntax = "proto3"; message Shelf {}')
    source = tmp_path / "books.proto"
    source.write_text(
        """
        syntax = "proto3";
        import "google/api/annotations.proto";
        import "google/type/money.proto";
        import "shelf.proto";
        message Book { Shelf shelf = 1; google.type.Money price = 2; }
        service Books {
          rpc Get(Book) returns (Book) { option (google.api.http) = {get: "/v1/book"}; }
        }
    """
    )
    files = {name: tmp_path / f"{name}.binpb" for name in ("books", "shelf")}
    for name, path in files.items():
        installed = (
            Path(google.api.__path__[0]).parents[1],
            Path(protoc.__file__).parent / "_proto",
        )
        includes = (f"-I{folder}" for folder in (tmp_path, *installed))
        assert 0 == protoc.main(
            ["protoc", *includes, f"--descriptor_set_out={path}", f"{name}.proto"]
        )
    code, _, errors = await output("routes", "--descriptors", str(files["books"]))
    expected = (
        "  books.proto: imports shelf.proto, which no descriptor set holds;"
        " protoc --include_imports puts it there"
    )
    assert (2, [expected]) == (code, errors.splitlines()[1:])

    both = [part for path in files.values() for part in ("--descriptors", str(path))]
    code, table, _ = await output("routes", *both)
    assert (0, True) == (code, "/v1/book" in table)

    _, _, errors = await output("routes", "--descriptors", str(source))
    hint = "protoc --include_imports --descriptor_set_out=FILE makes one of it"
    assert [f"  {source}: not a file descriptor set; {hint}"] == errors.splitlines()[1:]


async def test_an_upstream_of_no_service_is_told(echo: Echo, descriptor_file):
    """A slip in the name of an upstream's service is a warning: contracts may still change."""
    upstreams = ("--upstream", f"*={echo.address}", "--upstream", f"test.v1.Ehco={echo.address}")
    arguments = ("--descriptors", str(descriptor_file), "--access", "open", *upstreams)
    code, out, _ = await output("serve", "--listen", echo.address, *arguments)
    events = [json.loads(line) for line in out.splitlines()]
    told = [each["upstream"] for each in events if each["level"] == "warning"]
    assert (1, ["test.v1.Ehco"]) == (code, told)


async def test_the_deadline_of_foreign_methods_is_settable(echo: Echo, descriptor_file):
    """A unary call of a method without a policy may take as long as the command line says."""
    arguments = ("--descriptors", str(descriptor_file), "--upstream", f"*={echo.address}")
    async with (
        running(*arguments, "--access", "open", "--deadline-seconds", "0.1") as gateway,
        aiohttp.ClientSession() as session,
        session.get(f"{gateway.url}/v1/texts/slow") as response,
    ):
        assert 504 == response.status


async def test_all_bad_rules_are_told_at_once(tmp_path):
    """A bad template, an unknown field and a duplicate route each have their line."""
    source = (
        HEADER
        + """
        message M { string a = 1; repeated string list = 2; M m = 3; }
        service S {
          rpc A(M) returns (M) { option (google.api.http) = {get: "/v1/{a-b}"}; }
          rpc B(M) returns (M) { option (google.api.http) = {get: "/v1/{nope}"}; }
          rpc C(M) returns (M) { option (google.api.http) = {get: "/v1/{list}/{m}/{a}/{a}"}; }
          rpc D(M) returns (M) { option (google.api.http) = {post: "/v1/x" body: "nope"}; }
          rpc E(M) returns (M) { option (google.api.http) = {body: "*"}; }
        }
    """
    )
    path = tmp_path / "bad.binpb"
    path.write_bytes(compiled(source).SerializeToString())
    code, _, errors = await output("routes", "--descriptors", str(path))
    assert 2 == code
    assert [
        "  bad.v1.S.A: GET /v1/{a-b}: syntax error at column 7: expected '}', got '-'",
        "  bad.v1.S.B: GET /v1/{nope}: bad.v1.M has no field 'nope'",
        "  bad.v1.S.C: GET /v1/{list}/{m}/{a}/{a}: 'list' is repeated, which a path cannot bind",
        "  bad.v1.S.C: GET /v1/{list}/{m}/{a}/{a}: 'm' is a message, which a path cannot bind",
        "  bad.v1.S.C: GET /v1/{list}/{m}/{a}/{a}: 'a' is given twice",
        "  bad.v1.S.D: POST /v1/x: body: bad.v1.M has no field 'nope'",
        "  bad.v1.S.E:  : the rule has no pattern",
    ] == errors.splitlines()[1:]


async def test_duplicate_routes_are_told(tmp_path):
    """The same method and pattern is one route, whatever its variables are called."""
    source = (
        HEADER
        + """
        message M { string a = 1; string b = 2; }
        service S {
          rpc A(M) returns (M) { option (google.api.http) = {get: "/v1/{a}:x"}; }
          rpc B(M) returns (M) { option (google.api.http) = {get: "/v1/{b=*}:x"}; }
        }
    """
    )
    path = tmp_path / "bad.binpb"
    path.write_bytes(compiled(source).SerializeToString())
    code, _, errors = await output("routes", "--descriptors", str(path))
    line = "  bad.v1.S.B: GET /v1/{b=*}:x: the same route as bad.v1.S.A: GET /v1/{a}:x"
    assert (2, line) == (code, errors.splitlines()[1])


async def test_a_service_config_overrides_annotations(descriptor_file, tmp_path):
    """`http.rules` of a service configuration stand for a method's own."""
    config = tmp_path / "service.yaml"
    rule = "{selector: test.v1.Echo.Hidden, put: /hidden, body: '*'}"
    get = "{selector: test.v1.Echo.Get, get: '/texts/{text}'}"
    config.write_text(f"http:\n  rules:\n  - {rule}\n  - {get}\n")
    arguments = ("--descriptors", str(descriptor_file), "--service-config", str(config))
    _, text, _ = await output("routes", "--json", *arguments)
    bound = {(each["rpc"], each["method"], each["path"]) for each in json.loads(text)}
    assert ("test.v1.Echo.Hidden", "PUT", "/hidden") in bound
    assert [("test.v1.Echo.Get", "GET", "/texts/{text}")] == [
        each for each in bound if each[0] == "test.v1.Echo.Get"
    ]
    config.write_text("http: {rules: [{selector: test.v1.Echo.Nope, get: /x}]}")
    code, _, errors = await output("routes", *arguments)
    assert (2, "  test.v1.Echo.Nope: no such method") == (code, errors.splitlines()[1])


async def test_reflection_v1_is_asked_first():
    """`--reflect` takes what a server says by reflection v1, as every service of the mesh does."""
    server = grpc.aio.server()
    v1, _ = mesh_reflection.handlers([DESCRIPTOR.services_by_name["UserService"].full_name])
    server.add_generic_rpc_handlers((v1,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    _, text, _ = await output("routes", "--json", "--reflect", f"127.0.0.1:{port}")
    await server.stop(None)
    assert "/v1/users" in {route["path"] for route in json.loads(text)}


async def test_descriptors_come_from_a_server(echo: Echo):
    """`--reflect` asks a running server, which may know v1alpha only, and serves what it says."""
    upstream = ("--upstream", f"*={echo.address}")
    async with (
        running("--reflect", echo.address, *upstream, "--access", "open") as gateway,
        aiohttp.ClientSession() as session,
        session.get(f"{gateway.url}/v1/rooms/1/beds/2?kind=KIND_ONE") as response,
    ):
        answer = await response.json()
        assert ("rooms/1/beds/2", "KIND_ONE") == (answer["text"], answer["kind"])


async def test_grpc_is_imported_only_where_it_is_asked_for(
    echo: Echo, descriptor_file: Path, tmp_path: Path
):
    """With the native transport no process has gRPC's own library in memory."""
    arguments = ("--descriptors", str(descriptor_file), "--upstream", f"*={echo.address}")
    grpc_by_transport: dict[str, bool] = {}
    for transport in ("native", "grpc-aio"):
        imports = tmp_path / transport
        with imports.open("w") as errors:
            async with (
                running(
                    *(*arguments, "--access", "open", "--transport", transport),
                    stderr=errors.fileno(),
                    PYTHONPROFILEIMPORTTIME="1",
                ) as gateway,
                aiohttp.ClientSession() as session,
            ):
                for path in ("/v1/texts/a", "/v1/resources:watch?count=2", "/readyz", "/docs"):
                    async with session.get(gateway.url + path) as response:
                        assert 200 == response.status
                        await response.read()
        modules = {line.rpartition("|")[2].strip() for line in imports.read_text().splitlines()}
        assert "gateway.app" in modules
        grpc_by_transport[transport] = "grpc" in modules
    assert {"native": False, "grpc-aio": True} == grpc_by_transport
