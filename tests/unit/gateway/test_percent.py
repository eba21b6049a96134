"""Strict decoding of percent-escapes."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.transcoding import percent
from gateway.transcoding.percent import BadEscape, Decoding


@pytest.mark.parametrize("text", ["%", "%2", "%zz", "a%2x", "%%41", "%ff", "%c3", "%ed%a0%80"])
@pytest.mark.parametrize("decoding", Decoding)
def test_a_bad_escape_is_refused(text, decoding):
    """A malformed escape, invalid UTF-8 and an encoded surrogate are refused in every reading."""
    with pytest.raises(BadEscape):
        percent.decode(text, decoding)


@given(st.text())
def test_decoding_undoes_encoding(text):
    """What a client encodes is what the server reads."""
    assert text == percent.decode(quote(text, safe=""))


@given(st.text())
def test_a_kept_slash_is_all_that_stays(text):
    """Leaving `%2F` encoded changes nothing else."""
    encoded = quote(text, safe="")
    assert text.replace("/", "%2F") == percent.decode(encoded, Decoding.EXCEPT_SLASH)
