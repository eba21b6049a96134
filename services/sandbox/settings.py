"""What the sandbox can be told."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from services.mesh.settings import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings, each from the variable SOUK_<NAME> or the file that SOUK_<NAME>_FILE names.

    `sandbox_api_key`: the bearer token that every call must carry.
    `sandbox_ledger`: the SQLite file; it is made if it is not there.
    `sandbox_listen`: where it serves HTTP. Port 0 takes a free one.
    `sandbox_webhook_url`: where provider events are posted; without one none are.
    `sandbox_webhook_secret`: what they are signed with; needed with a URL.
    `sandbox_reload_period`: how often files of secrets are looked at for changes.
    `sandbox_silence`: how long a call that gets no answer is kept open.
    """

    sandbox_api_key: Secret
    sandbox_ledger: Path
    sandbox_listen: str = "127.0.0.1:50060"
    sandbox_webhook_url: str | None = None
    sandbox_webhook_secret: Secret | None = None
    sandbox_reload_period: timedelta = timedelta(seconds=5)
    sandbox_silence: timedelta = timedelta(seconds=60)

    def __post_init__(self) -> None:
        if self.sandbox_webhook_url and not self.sandbox_webhook_secret:
            message = "SOUK_SANDBOX_WEBHOOK_SECRET is required with SOUK_SANDBOX_WEBHOOK_URL"
            raise ValueError(message)
