"""What containers are given at their first start, and when it is made again."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from services.local.compose.materials import Materials


def test_certificates_outlive_a_month_of_running(tmp_path: Path) -> None:
    """Nobody renews them under running containers, so a day would be the shop's end."""
    Materials(root=tmp_path).prepare()
    lives = {
        x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc - datetime.now(UTC)
        for path in tmp_path.glob("*/cert.pem")
    }
    assert lives
    assert min(lives) > timedelta(days=29)


def test_preparing_again_changes_nothing(tmp_path: Path) -> None:
    """Passwords, keys and certificates stay what the containers have."""
    materials = Materials(root=tmp_path)
    materials.prepare()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    materials.prepare()
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
