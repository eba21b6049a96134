"""Another authority, and then another again, without anybody's being refused in between.

    step        ca.pem      signs   identities        before the next step, everybody must
    introduce   old, new    old     by the old one    trust the new one
    reissue     old, new    new     by the new one    show the new ones
    retire      new         new     by the new one    -

What step is next follows from the files, so whoever is interrupted goes on where it was. `Heard`
says when everybody has taken a step: at once where nobody runs.
"""

from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from services.local import certs, whole_file
from services.local.certs import AUTHORITY, NEXT_KEY, Pair

Heard = Callable[[str], Coroutine[Any, Any, None]]
"""Is called with what was done; returns when everybody who runs has taken it up, or raises."""


async def finish(folder: Path, names: Sequence[str], heard: Heard) -> None:
    """Does all steps, or those that are left of a roll-over that was interrupted.

    Raises what `heard` raises, and FileNotFoundError if there is no authority yet.
    """
    if not is_under_way(folder):
        introduce(folder)
    if _following(folder) is not None:
        await heard("the next authority is trusted beside the present one")
        reissue(folder, names)
    await heard("every identity is signed by the next authority")
    retire(folder)
    await heard("the former authority is trusted no more")


async def unheard(_step: str) -> None:
    """Waits for nobody, where nobody runs."""


def is_under_way(folder: Path) -> bool:
    """Tells whether a roll-over was begun and not finished."""
    return len(certs.trusted(folder)) > 1


def introduce(folder: Path) -> None:
    """Has the next authority trusted beside the present one, which goes on signing."""
    present, following = _present(folder), certs.make_ca()
    whole_file.write(folder / NEXT_KEY, following.key_pem)
    bundle = present.certificate_pem + following.certificate_pem
    whole_file.write(folder / f"{AUTHORITY}.pem", bundle, mode=0o644)


def reissue(folder: Path, names: Sequence[str]) -> None:
    """Gives everybody an identity by the next authority, which then signs alone."""
    following = _following(folder)
    if following is None:
        return
    for name in names:
        certs.save(folder, name, certs.issue(following, name))
    (folder / NEXT_KEY).replace(folder / f"{AUTHORITY}-key.pem")


def retire(folder: Path) -> None:
    """Has nobody trusted any more but the authority that signs."""
    whole_file.write(folder / f"{AUTHORITY}.pem", _present(folder).certificate_pem, mode=0o644)


def _present(folder: Path) -> Pair:
    present = certs.load(folder, AUTHORITY)
    if present is None:
        raise FileNotFoundError(f"{folder} has no authority: run `souk certs issue`")
    return present


def _following(folder: Path) -> Pair | None:
    """Returns the authority that is trusted and does not sign yet, if there is one."""
    if not (folder / NEXT_KEY).exists():
        return None
    key = certs.load_key(folder / NEXT_KEY)
    known = [each for each in certs.trusted(folder) if each.public_key() == key.public_key()]
    return Pair(certificate=known[0], key=key) if known else None
