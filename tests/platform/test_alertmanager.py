"""Alerts reach those whom they are for, by the judgement of amtool."""

import subprocess
from pathlib import Path

import pytest

from tests.platform.test_alerts import ALERTS

ROOT = Path(__file__).parents[2]
CONFIGURATION = ROOT / "charts/monitoring/alertmanager.yaml"
AMTOOL = ROOT / ".tools/bin/amtool"

RECEIVERS = {"page": "on-call,channel", "ticket": "team", "none": "watchdog"}


def amtool(*arguments: str) -> str:
    """Runs amtool; returns what it printed."""
    if not AMTOOL.exists():
        pytest.skip("amtool is not installed: `make tools`")
    done = subprocess.run(  # noqa: S603  # a program of ours
        [AMTOOL, *arguments], check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_amtool_finds_no_fault():
    """The configuration is one that Alertmanager starts with."""
    assert "SUCCESS" in amtool("check-config", str(CONFIGURATION))


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_each_alert_has_its_receivers(alert):
    """Pages wake somebody and are seen in the channel; tickets are for the team."""
    labels = {"alertname": alert, **ALERTS[alert]["labels"]}
    told = amtool(
        *("config", "routes", "test", "--config.file", str(CONFIGURATION)),
        *(f"{name}={value}" for name, value in labels.items()),
    )
    assert told == RECEIVERS[labels["severity"]]


def test_an_alert_that_nobody_foresaw_reaches_the_team():
    """Another chart's rules may have other labels."""
    told = amtool("config", "routes", "test", "--config.file", str(CONFIGURATION), "alertname=New")
    assert told == "team"


def test_no_secret_is_in_the_configuration():
    """Keys, tokens and passwords are named as files."""
    text = CONFIGURATION.read_text(encoding="utf-8")
    for key in ("slack_api_url:", "routing_key:", "smtp_auth_password:", "credentials:"):
        assert key not in text
