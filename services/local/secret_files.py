"""The secrets of each process as files, as Vault's agent and Kubernetes hand them out in a cluster.

    secrets/<process>/<field>     SOUK_<FIELD>_FILE names it; nobody but its owner can read it

A process follows its files (`services.mesh.watched_files`), so what is written here is used without
a restart; and neither an environment nor a command line shows it.
"""

from collections.abc import Mapping

from services.local import whole_file
from services.local.data_folder import DataFolder

_FOLDER = "secrets"


def variables(folder: DataFolder, process: str, fields: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables that name the files of these fields."""
    place = folder.store(_FOLDER) / process
    return {f"SOUK_{field.upper()}_FILE": str(place / field) for field in fields}


def write(folder: DataFolder, process: str, fields: Mapping[str, str]) -> None:
    """Writes fields, each as a whole, so that nobody reads half of one."""
    place = folder.store(_FOLDER) / process
    for each in (place.parent, place):
        each.mkdir(mode=0o700, exist_ok=True)
    for field, text in fields.items():
        whole_file.write(place / field, text.encode())
