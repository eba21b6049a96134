"""Derived files follow what they are derived from."""

import pytest

from services.local import derived
from services.local.derived import Deriver

ROUTES = Deriver(owns=("kong/derived/*.yaml",), files=lambda: {"kong/derived/a.yaml": "new\n"})


def test_write_brings_a_stale_file_up_to_date(tmp_path):
    """A file with another text is written anew, and is then no longer stale."""
    (tmp_path / "kong/derived").mkdir(parents=True)
    (tmp_path / "kong/derived/a.yaml").write_text("old\n")
    assert derived.write(tmp_path, [ROUTES]) == ["kong/derived/a.yaml"]
    assert (tmp_path / "kong/derived/a.yaml").read_text() == "new\n"
    assert derived.differences(tmp_path, [ROUTES]) == {}


def test_write_removes_what_no_contract_gives(tmp_path):
    """A file that only a former contract gave goes; a neighbour that is not derived stays."""
    (tmp_path / "kong/derived").mkdir(parents=True)
    (tmp_path / "kong/derived/gone.yaml").write_text("")
    (tmp_path / "kong/kong.yaml").write_text("")
    derived.write(tmp_path, [ROUTES])
    assert not (tmp_path / "kong/derived/gone.yaml").exists()
    assert (tmp_path / "kong/kong.yaml").exists()


def test_a_file_outside_its_globs_is_refused(tmp_path):
    """What a deriver does not own it could not remove later."""
    stray = Deriver(owns=("charts/*.yaml",), files=lambda: {"kong/a.yaml": ""})
    with pytest.raises(ValueError, match=r"kong/a\.yaml matches none of"):
        derived.differences(tmp_path, [stray])
