"""Licences are read from what distributions say, and compared as SPDX expressions."""

from email.message import Message
from importlib.metadata import Distribution
from typing import Any

import pytest

from services.local.supply import licences


class Described(Distribution):
    """A distribution that says these things of itself."""

    def __init__(self, *fields: tuple[str, str]) -> None:
        self._message = Message()
        for name, value in (("Name", "thing"), ("Version", "1"), *fields):
            self._message[name] = value

    @property
    def metadata(self) -> Any:
        """Return what it says."""
        return self._message

    def read_text(self, filename: str) -> str | None:
        """Has no files."""

    def locate_file(self, path: Any) -> Any:
        """Has none."""


@pytest.mark.parametrize(
    ("expression", "accepted"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("MIT AND GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", True),
        ("MIT AND (GPL-2.0-only OR AGPL-3.0-only)", False),
        ("", False),
        ("Proprietary", False),
    ],
)
def test_an_expression_is_accepted_if_one_choice_is(expression: str, accepted: bool):
    """AND needs every licence, OR one of them; what is not known is refused."""
    assert accepted == licences.is_accepted(expression)


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ([("License-Expression", "Apache-2.0"), ("License", "see below")], "Apache-2.0"),
        ([("Classifier", "License :: OSI Approved :: MIT License")], "MIT"),
        (
            [
                ("Classifier", "License :: OSI Approved :: BSD License"),
                ("Classifier", "License :: OSI Approved :: Apache Software License"),
            ],
            "BSD-3-Clause AND Apache-2.0",
        ),
        ([("License", "MIT")], "MIT"),
        ([], ""),
    ],
)
def test_a_licence_is_read_where_it_is_said(fields: list[tuple[str, str]], licence: str):
    """The expression counts before classifiers, and those before the free text."""
    assert licence == licences.licence_of(Described(*fields))


def test_what_is_not_accepted_is_named():
    """A distribution under another licence, or under none, is one line each."""
    found = [Described(("License", "AGPL-3.0")), Described(), Described(("License", "MIT"))]

    assert ["thing 1: AGPL-3.0", "thing 1: says none"] == licences.faults(found)
