"""The authority is exchanged in steps, of which each leaves everybody trusted by everybody."""

import itertools
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509 import verification

from services.local import certs, rollover

NAMES = ("order", "payment")


def trusts(bundle: list[x509.Certificate], leaf: x509.Certificate) -> bool:
    """Tell whether who trusts `bundle` lets `leaf` in."""
    store = verification.Store(bundle)
    verifier = verification.PolicyBuilder().store(store).time(datetime.now(UTC))
    try:
        verifier.build_client_verifier().verify(leaf, [])
    except verification.VerificationError:
        return False
    return True


async def test_nobody_is_refused_in_between(tmp_path: Path) -> None:
    """Who is a step behind with what it trusts or shows is still let in by those who are not."""
    certs.ensure(tmp_path, NAMES)
    moments = [(certs.trusted(tmp_path), certs.certificates(tmp_path))]

    async def heard(_: str) -> None:
        moments.append((certs.trusted(tmp_path), certs.certificates(tmp_path)))

    await rollover.finish(tmp_path, NAMES, heard)
    behind = [
        trusts(bundle, leaf)
        for (former, old), (latter, new) in itertools.pairwise(moments)
        for bundle, leaves in ((former, new), (latter, old))
        for leaf in leaves.values()
    ]
    assert [True] * 12 == behind


async def test_the_former_authority_is_trusted_no_more(tmp_path: Path) -> None:
    """In the end there is one authority, which is another, and everybody has a leaf of it."""
    certs.ensure(tmp_path, NAMES)
    former, old = certs.trusted(tmp_path), certs.certificates(tmp_path)
    await rollover.finish(tmp_path, NAMES, rollover.unheard)
    latter, new = certs.trusted(tmp_path), certs.certificates(tmp_path)
    assert (1, False) == (len(latter), latter == former)
    assert [True, True, False, False, False, False] == [
        *(trusts(latter, leaf) for leaf in new.values()),
        *(trusts(latter, leaf) for leaf in old.values()),
        *(trusts(former, leaf) for leaf in new.values()),
    ]
    assert not (tmp_path / certs.NEXT_KEY).exists()


def interrupted_at(number: int) -> rollover.Heard:
    """Return what fails at its `number`-th call, as if the process ended there."""
    calls: list[str] = []

    async def heard(step: str) -> None:
        calls.append(step)
        if len(calls) == number:
            raise KeyboardInterrupt

    return heard


@pytest.mark.parametrize("number", [1, 2])
async def test_an_interrupted_one_goes_on(tmp_path: Path, number: int) -> None:
    """Who was interrupted between two steps finishes with the authority that was begun with."""
    certs.ensure(tmp_path, NAMES)
    with pytest.raises(KeyboardInterrupt):
        await rollover.finish(tmp_path, NAMES, interrupted_at(number))
    begun = set(certs.trusted(tmp_path))
    assert rollover.is_under_way(tmp_path)
    assert [] == certs.ensure(tmp_path, NAMES)
    await rollover.finish(tmp_path, NAMES, rollover.unheard)
    assert (1, False) == (len(certs.trusted(tmp_path)), rollover.is_under_way(tmp_path))
    assert set(certs.trusted(tmp_path)) < begun


async def test_one_that_only_had_a_key_begins_anew(tmp_path: Path) -> None:
    """A next key without a certificate, as a process leaves that dies in between, is replaced."""
    certs.ensure(tmp_path, NAMES)
    (tmp_path / certs.NEXT_KEY).write_bytes(certs.make_ca().key_pem)
    former = certs.trusted(tmp_path)
    await rollover.finish(tmp_path, NAMES, rollover.unheard)
    latter = certs.trusted(tmp_path)
    assert latter != former
    assert all(trusts(latter, leaf) for leaf in certs.certificates(tmp_path).values())
