"""What the notification service can be told."""

import socket
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from services.mesh.setting_bounds import ZeroOrMore
from services.mesh.settings import MeshSettings, Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(MeshSettings):
    """The settings of the notification service.

    `database_url`: its PostgreSQL database. `redis_url`: where the order service's events are.
    `consumer_name`: tells this process from the others of its group; best kept over a restart.
    `abandoned_after`: when what another process has left is taken over.
    `announcement_grace`: how long an event that was announced may take to be delivered.
    `smtp_host`, `smtp_port`, `smtp_security`, `smtp_username`, `smtp_password`: the mail server;
    without a host no e-mail is sent. `mail_from`: the sender.
    `sms_url`, `sms_api_key`: the HTTP endpoint for text messages; without one none are sent.
    `delivery_timeout`: how long one sending may take. `delivery_retry`: the pause after the first
    failure, doubled with each one.
    `poll`: how long a missed wake-up can go unnoticed.
    """

    database_url: Secret
    redis_url: Secret
    consumer_name: str = field(default_factory=socket.gethostname)
    abandoned_after: timedelta = timedelta(seconds=60)
    announcement_grace: ZeroOrMore[timedelta] = timedelta(seconds=10)
    smtp_host: str | None = None
    smtp_port: int = 587
    smtp_security: Literal["starttls", "tls", "off"] = "starttls"
    smtp_username: str | None = None
    smtp_password: Secret | None = None
    mail_from: str = "Souk <no-reply@souk.local>"
    sms_url: str | None = None
    sms_api_key: Secret | None = None
    delivery_timeout: timedelta = timedelta(seconds=10)
    delivery_retry: timedelta = timedelta(seconds=5)
    poll: timedelta = timedelta(seconds=1)
