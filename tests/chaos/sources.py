"""Where a checker finds what a run has left."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """`postgres`: the administrator's URL, on a server with a database `souk_<service>` each.

    `redis`, `mongo`: their URLs. `ledger`: the payment provider's SQLite file. `prefix` and
    `mongo_database` name scratch copies of the databases, if these are to be read instead.
    """

    postgres: str
    redis: str
    mongo: str
    ledger: Path
    prefix: str = "souk_"
    mongo_database: str = "product"

    def database(self, service: str) -> str:
        """Returns the URL of a service's database."""
        return urlunsplit(urlsplit(self.postgres)._replace(path=f"/{self.prefix}{service}"))
