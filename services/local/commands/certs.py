"""`souk certs`: the identities of the local mesh."""

import argparse
import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509

from services.local import certs, endpoints, file_lock, renewal, rollover, topology
from services.local.certs import AUTHORITY
from services.local.console import Console
from services.local.data_folder import DataFolder, DataFolderError
from services.local.uptake import NotTakenUp

_ROW = "{name:<14} {role:<10} {left:>9}  {fingerprint:.16}  {issuer}"

_HEADINGS = {
    "name": "NAME",
    "role": "ROLE",
    "left": "EXPIRES",
    "fingerprint": "SHA-256",
    "issuer": "ISSUER",
}


class NotKnown(Exception):
    """There is no such identity; the message names those that there are."""


def run(options: argparse.Namespace, console: Console) -> int:
    """Issues, shows or rotates; returns 1 when that is not possible."""
    try:
        options.data.check()
        _ACTIONS[options.action](options, console)
    except (
        *(DataFolderError, file_lock.Busy, NotKnown, NotTakenUp),
        # What is in the folder is damaged.
        *(OSError, ValueError),
    ) as error:
        console.fail(str(error))
        return 1
    return 0


def _issue(options: argparse.Namespace, console: Console) -> None:
    folder: DataFolder = options.data
    folder.create()
    with certs.locked(folder.certs):
        issued = certs.ensure(folder.certs, topology.IDENTITIES)
    console.line(f"Issued {', '.join(issued)}." if issued else "Nothing is due.")
    if any(map(certs.is_due, certs.trusted(folder.certs))):
        console.warn("the authority expires soon: run `souk certs rotate --authority`")


def _rotate(options: argparse.Namespace, console: Console) -> None:
    folder: DataFolder = options.data
    names: list[str] = options.names or list(topology.IDENTITIES)
    strangers = sorted(set(names) - set(topology.IDENTITIES))
    if strangers:
        known = ", ".join(topology.IDENTITIES)
        raise NotKnown(f"there is no identity {', '.join(strangers)}; there are {known}")
    folder.create()
    with certs.locked(folder.certs):
        certs.ensure(folder.certs, topology.IDENTITIES)
        where = renewal.running(folder)
        if options.authority:
            asyncio.run(_roll_over(folder, where, console))
        else:
            certs.renew(folder.certs, names)
            asyncio.run(renewal.hearing(folder, where, console)(f"issued {', '.join(names)}"))
    if where is None:
        console.line("No mesh is running here: the next `souk up` begins with these.")


async def _roll_over(
    folder: DataFolder, where: endpoints.Endpoints | None, console: Console
) -> None:
    if rollover.is_under_way(folder.certs):
        console.line("Going on with a roll-over that was interrupted.")
    heard = renewal.hearing(folder, where, console)
    await rollover.finish(folder.certs, topology.IDENTITIES, heard)


def _show(options: argparse.Namespace, console: Console) -> None:
    found = list(_certificates(options.data))
    if options.json:
        console.line(json.dumps(found, indent=2))
        return
    if not found:
        console.line("There are no certificates yet: `souk up` or `souk certs issue` makes them.")
        return
    console.heading(_ROW.format(**_HEADINGS))
    for each in found:
        left = datetime.fromisoformat(each["notAfter"]) - datetime.now(UTC)
        console.line(_ROW.format(**each, left=_span(left)))


def _certificates(folder: DataFolder) -> Iterator[dict[str, Any]]:
    """Yields what there is to tell of each certificate, the authorities first."""
    present = certs.load(folder.certs, AUTHORITY)
    for each in certs.trusted(folder.certs):
        signs = present is not None and present.certificate == each
        yield _facts(AUTHORITY, "signs" if signs else "trusted", each)
    for name, each in certs.certificates(folder.certs).items():
        yield _facts(name, "identity", each)


def _facts(name: str, role: str, certificate: x509.Certificate) -> dict[str, Any]:
    return {
        "name": name,
        "role": role,
        "identity": _identity(certificate),
        "notBefore": certificate.not_valid_before_utc.isoformat(),
        "notAfter": certificate.not_valid_after_utc.isoformat(),
        "fingerprint": certs.fingerprint(certificate),
        "serialNumber": f"{certificate.serial_number:x}",
        "issuer": certificate.issuer.rfc4514_string(),
    }


def _span(left: timedelta) -> str:
    """Returns `in 23 h`, `in 300 d`, or `expired`."""
    hours = left / timedelta(hours=1)
    if hours <= 0:
        return "expired"
    return f"in {hours / 24:.0f} d" if hours > 48 else f"in {hours:.1f} h"  # noqa: PLR2004 - two days


def _identity(certificate: x509.Certificate) -> str:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return certificate.subject.rfc4514_string()
    return ", ".join(names.get_values_for_type(x509.UniformResourceIdentifier))


_ACTIONS: Mapping[str, Callable[[argparse.Namespace, Console], None]] = {
    "issue": _issue,
    "rotate": _rotate,
    "show": _show,
}
