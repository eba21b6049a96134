"""What the user service can be told."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from services.mesh.settings import MeshSettings, Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(MeshSettings):
    """The settings of the user service.

    `database_url`: its PostgreSQL database.
    `signing_keys`: the folder of the keys that sign access tokens; see `signing_keys.py`.
    `signing_key_life`: how long a key signs before this process replaces it; None leaves that to
    whoever mounts the folder.
    `access_token_life`, `refresh_token_life`: how long tokens live. Every refresh begins a new
    refresh life.
    `login_attempts_per_account`, `login_attempts_per_address`: how often passwords may be guessed
    in each `login_attempt_window`.
    `bootstrap_admin_email`, `bootstrap_admin_password`: the admin to create at start if there is
    none yet, since only an admin can make another one. Both or neither.
    """

    database_url: Secret
    signing_keys: Path
    signing_key_life: timedelta | None = None
    access_token_life: timedelta = timedelta(minutes=10)
    refresh_token_life: timedelta = timedelta(days=30)
    login_attempts_per_account: int = 10
    login_attempts_per_address: int = 100
    login_attempt_window: timedelta = timedelta(minutes=15)
    bootstrap_admin_email: str = ""
    bootstrap_admin_password: Secret | None = None

    def __post_init__(self) -> None:
        """Refuse half of an admin."""
        if bool(self.bootstrap_admin_email) != bool(self.bootstrap_admin_password):
            raise ValueError(
                "SOUK_BOOTSTRAP_ADMIN_EMAIL and SOUK_BOOTSTRAP_ADMIN_PASSWORD go together"
            )
