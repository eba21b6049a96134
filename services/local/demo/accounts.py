"""The demo accounts: fixed addresses, passwords made once per data folder."""

from dataclasses import dataclass

from services.local import credentials
from services.local.data_folder import DataFolder

# Reserved for examples (RFC 2606): no mail can reach anybody.
_DOMAIN = "souk.example"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Somebody who can sign in; `role` is empty for a plain customer."""

    email: str
    password: str
    display_name: str
    role: str = ""


_PEOPLE = (
    ("customer", "Amira Haddad", ""),
    ("admin", "Yusuf Demir", "admin"),
    ("merchandiser", "Leïla Benali", "merchandiser"),
    ("fulfilment", "Omar Rahimi", "fulfilment"),
    ("support", "Nour Saleh", "support"),
)


def ensure(folder: DataFolder) -> dict[str, Account]:
    """Returns the accounts by their short name, such as "customer"."""
    return {
        name: Account(
            email=f"{name}@{_DOMAIN}",
            password=credentials.ensure(folder, f"account/{name}"),
            display_name=display_name,
            role=role,
        )
        for name, display_name, role in _PEOPLE
    }
