"""Settings are read from the environment and from files, and every fault is told at once."""

import dataclasses
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Literal

import pytest

from gateway.settings import GatewaySettings
from services.local import topology
from services.mesh import setting_bounds, settings
from services.mesh.setting_bounds import Share, ZeroOrMore
from services.mesh.settings import MeshSettings, Secret, SettingsError

_SERVICES = ("sandbox", *(service.name for service in topology.SERVICES))
_ALL: tuple[type[MeshSettings], ...] = (
    GatewaySettings,
    *(import_module(f"services.{name}.settings").Settings for name in _SERVICES),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything(MeshSettings):
    """One field of each type."""

    url: Secret
    count: int = 1
    factor: float = 1.5
    share: Share = 0.5
    pause: ZeroOrMore[timedelta] = timedelta(seconds=1)
    is_on: bool = False
    folder: Path | None = None
    wait: timedelta = timedelta(seconds=1)
    names: tuple[str, ...] = ()
    colour: Literal["red", "green"] = "red"


def test_every_type_is_read() -> None:
    """A value of each type is read as what the field says it is."""
    environ = {
        "SOUK_URL": "postgresql://secret",
        "SOUK_COUNT": "7",
        "SOUK_SHARE": "0.25",
        "SOUK_IS_ON": "true",
        "SOUK_FOLDER": "/var/lib/souk",
        "SOUK_WAIT": "500ms",
        "SOUK_NAMES": "gateway, developer",
        "SOUK_COLOUR": "green",
        "SOUK_TARGETS": "user=127.0.0.1:50051,order=dns:///order:50051",
    }
    expected = Everything(
        url=Secret("postgresql://secret"),
        count=7,
        share=0.25,
        is_on=True,
        folder=Path("/var/lib/souk"),
        wait=timedelta(milliseconds=500),
        names=("gateway", "developer"),
        colour="green",
        targets={"user": "127.0.0.1:50051", "order": "dns:///order:50051"},
    )
    assert expected == settings.load(Everything, environ)


def test_what_is_not_given_or_empty_has_its_default() -> None:
    """A variable that is missing or empty leaves the field at its default."""
    assert Everything(url=Secret("x")) == settings.load(
        Everything, {"SOUK_URL": "x", "SOUK_COUNT": ""}
    )


def test_a_file_gives_the_value(tmp_path: Path) -> None:
    """A mounted file gives the value, without the newline at its end."""
    (tmp_path / "url").write_text("from the file\n", encoding="utf-8")
    loaded = settings.load(Everything, {"SOUK_URL_FILE": str(tmp_path / "url")})
    assert loaded.url.reveal() == "from the file"


def test_all_faults_are_told_at_once() -> None:
    """What is missing and what cannot be read is told in one go, by the variable's name."""
    environ = {
        "SOUK_COUNT": "seven",
        "SOUK_IS_ON": "yes",
        "SOUK_WAIT": "5",
        "SOUK_COLOUR": "blue",
        "SOUK_TARGETS": "user",
        "SOUK_FOLDER_FILE": "/nowhere",
    }
    with pytest.raises(SettingsError) as caught:
        settings.load(Everything, environ)
    expected = [
        "SOUK_COLOUR",
        "SOUK_COUNT",
        "SOUK_FOLDER",
        "SOUK_IS_ON",
        "SOUK_TARGETS",
        "SOUK_URL",
        "SOUK_WAIT",
    ]
    assert expected == sorted(fault.partition(":")[0].split()[0] for fault in caught.value.faults)


def test_a_value_and_a_file_together_are_refused(tmp_path: Path) -> None:
    """A value that is given twice is a fault, since either could be the one that was meant."""
    (tmp_path / "url").write_text("x", encoding="utf-8")
    environ = {"SOUK_URL": "x", "SOUK_URL_FILE": str(tmp_path / "url")}
    with pytest.raises(SettingsError, match="SOUK_URL_FILE is given too"):
        settings.load(Everything, environ)


def test_a_secret_shows_itself_only_when_asked() -> None:
    """A secret's text stands in neither its repr nor that of the settings that hold it."""
    loaded = settings.load(Everything, {"SOUK_URL": "hush"})
    assert "hush" not in f"{loaded} {loaded!r} {loaded.url} {loaded.url!r}"


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("250ms", timedelta(milliseconds=250)),
        ("1.5s", timedelta(seconds=1.5)),
        ("10m", timedelta(minutes=10)),
        ("72h", timedelta(hours=72)),
        ("3d", timedelta(days=3)),
    ],
)
def test_durations_name_their_unit(text: str, span: timedelta) -> None:
    """A duration is a number with its unit."""
    assert span == settings.load(Everything, {"SOUK_URL": "x", "SOUK_WAIT": text}).wait


@pytest.mark.parametrize(
    ("variable", "text", "fault"),
    [
        ("WAIT", "0s", "must be at least 1ms"),
        ("WAIT", "0.5ms", "must be at least 1ms"),
        ("WAIT", "-1s", "'-1s' is no duration"),
        ("WAIT", "9999999999d", "longer than can be counted"),
        ("PAUSE", "0.5ms", "must be 0s or at least 1ms"),
        ("COUNT", "0", "must be above 0"),
        ("COUNT", "-7", "must be above 0"),
        ("FACTOR", "0", "must be above 0"),
        ("FACTOR", "nan", "must be above 0"),
        ("FACTOR", "inf", "must be above 0"),
        ("SHARE", "-0.1", "must be 0 or more, and at most 1"),
        ("SHARE", "1.5", "must be 0 or more, and at most 1"),
    ],
)
def test_nothing_and_less_are_refused(variable: str, text: str, fault: str) -> None:
    """A pause, a limit or a life of nothing is told at the start, by the variable's name."""
    with pytest.raises(SettingsError, match=f"^SOUK_{variable}: .*{fault}"):
        settings.load(Everything, {"SOUK_URL": "x", f"SOUK_{variable}": text})


def test_a_field_may_allow_nothing() -> None:
    """What says so of itself may be nothing: a grace, a share."""
    environ = {"SOUK_URL": "x", "SOUK_PAUSE": "0s", "SOUK_SHARE": "0"}
    loaded = settings.load(Everything, environ)
    assert (timedelta(0), 0.0) == (loaded.pause, loaded.share)


def test_no_default_lies_outside_its_bounds() -> None:
    """What every process has without being told could also be told."""
    for cls in _ALL:
        bounds = setting_bounds.of(cls)
        for each in dataclasses.fields(cls):
            bounds[each.name].check(each.default)
