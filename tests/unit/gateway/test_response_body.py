"""What `response_body` writes of a part that the answer does not have."""

import json

import pytest

from gateway.transcoding import descriptors
from gateway.transcoding.codec import Codec
from tests.unit.gateway.protos import compiled

PARTS = """
syntax = "proto3";
package test.v1;
import "google/protobuf/duration.proto";
message Answer {
  google.protobuf.Duration span = 1;
  Answer part = 2;
  string text = 3;
  repeated string tags = 4;
  oneof choice {
    google.protobuf.Duration choice_span = 5;
    Answer choice_part = 6;
    string choice_text = 7;
  }
}
"""
EMPTY = {"text": "", "tags": []}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("span", None),
        ("part", EMPTY),
        ("text", ""),
        ("tags", []),
        ("choice_span", None),
        ("choice_part", EMPTY),
        ("choice_text", ""),
    ],
)
def test_a_part_that_is_not_set_is_written_as_it_reads(field, value):
    """An unset part is its default, in a oneof too; one that has no JSON for that is null."""
    codec = Codec(descriptors.from_set(compiled(PARTS)).files)
    assert value == json.loads(codec.to_json("test.v1.Answer", b"", field))
