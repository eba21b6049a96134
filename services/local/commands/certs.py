"""`souk certs`: the identities of the local mesh."""

import argparse
from collections.abc import Callable, Mapping

from cryptography import x509

from services.local import certs, topology
from services.local.console import Console
from services.local.data_folder import DataFolder, DataFolderError


def run(options: argparse.Namespace, console: Console) -> int:
    """Issues, shows or rotates; returns 1 when the folder cannot be used."""
    folder: DataFolder = options.data
    try:
        folder.check()
        _ACTIONS[options.action](folder, console)
    except (DataFolderError, OSError) as error:
        console.fail(str(error))
        return 1
    return 0


def _issue(folder: DataFolder, console: Console) -> None:
    folder.create()
    issued = certs.ensure(folder.certs, topology.IDENTITIES)
    console.line(f"Issued {', '.join(issued)}." if issued else "Nothing is due.")


def _rotate(folder: DataFolder, console: Console) -> None:
    folder.create()
    certs.rotate(folder.certs, topology.IDENTITIES)
    console.line("Issued a new authority and every identity; a running mesh reloads them.")


def _show(folder: DataFolder, console: Console) -> None:
    for name, certificate in certs.certificates(folder.certs).items():
        end = certificate.not_valid_after_utc
        console.line(f"{name:<13} until {end:%Y-%m-%d %H:%M} UTC   {_identity(certificate)}")


def _identity(certificate: x509.Certificate) -> str:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return certificate.subject.rfc4514_string()
    return ", ".join(names.get_values_for_type(x509.UniformResourceIdentifier))


_ACTIONS: Mapping[str, Callable[[DataFolder, Console], None]] = {
    "issue": _issue,
    "rotate": _rotate,
    "show": _show,
}
