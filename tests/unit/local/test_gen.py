"""The stubs under proto/gen are what the contracts give."""

from pathlib import Path

import pytest

from services.local import gen

PING = """syntax = "proto3";

package souk.ping.v1;

import "buf/validate/validate.proto";
import "google/api/annotations.proto";

// Answers.
service PingService {
  // Answers a ping.
  rpc Ping(PingRequest) returns (PingResponse) {
    option (google.api.http) = {get: "/v1/ping"};
  }
}

// What is asked.
message PingRequest {
  // Comes back. Required.
  string text = 1 [(buf.validate.field).string.min_len = 1];
}

// What is answered.
message PingResponse {}
"""

FRESH = [
    "buf/__init__.py",
    "buf/validate/__init__.py",
    "buf/validate/validate_pb2.py",
    "buf/validate/validate_pb2.pyi",
    "souk.binpb",
    "souk/__init__.py",
    "souk/ping/__init__.py",
    "souk/ping/v1/__init__.py",
    "souk/ping/v1/ping_pb2.py",
    "souk/ping/v1/ping_pb2.pyi",
    "souk/ping/v1/ping_pb2_grpc.py",
    "souk/ping/v1/ping_pb2_grpc.pyi",
]


@pytest.fixture
def root(tmp_path):
    """A repository with one contract and no stubs."""
    write(tmp_path, PING)
    return tmp_path


def write(root: Path, contract: str) -> None:
    """Puts the contract of the ping service under `root`."""
    folder = root / "proto" / "souk" / "ping" / "v1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ping.proto").write_text(contract)


def test_generating_writes_every_file_once(root):
    """The first run writes stubs, packages and the descriptor set; the second changes nothing."""
    assert [FRESH, [], []] == [gen.generate(root), gen.check(root), gen.generate(root)]


def test_a_changed_contract_makes_its_stubs_stale(root):
    """A new field shows in the message's stubs and in the descriptor set, nowhere else."""
    gen.generate(root)
    write(
        root, PING.replace("PingResponse {}", "PingResponse {\n  // Is it.\n  string text = 1;\n}")
    )
    expected = ["souk.binpb", "souk/ping/v1/ping_pb2.py", "souk/ping/v1/ping_pb2.pyi"]
    assert expected == gen.check(root)


def test_an_edited_or_left_over_stub_is_stale_and_mended(root):
    """A stub changed by hand, and one whose contract is gone, are named and put right."""
    gen.generate(root)
    package = root / "proto" / "gen" / "souk" / "ping" / "v1"
    (package / "ping_pb2.py").write_text("edited")
    (package / "pong_pb2.py").write_text("left over")
    expected = ["souk/ping/v1/ping_pb2.py", "souk/ping/v1/pong_pb2.py"]
    assert [expected, expected, []] == [gen.check(root), gen.generate(root), gen.check(root)]


@pytest.mark.parametrize(
    ("contract", "said"),
    [
        (PING.replace("string text", "Text text"), '"Text" is not defined'),
        (PING.replace("option (google.api.http)", "// "), "annotations.proto is unused"),
    ],
    ids=["a type that is not defined", "an unused import"],
)
def test_a_contract_with_a_fault_or_a_warning_is_refused(root, contract, said):
    """What protoc finds wrong stops the generation, with its own words."""
    write(root, contract)
    with pytest.raises(gen.GenerationError, match=said):
        gen.generate(root)
