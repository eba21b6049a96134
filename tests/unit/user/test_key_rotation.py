"""Signing keys are replaced on schedule; every token stays verifiable for as long as it lives."""

import os
from collections import deque
from datetime import timedelta
from pathlib import Path

import pytest

from services.user import key_rotation, signing_keys
from services.user.key_rotation import INTRODUCTION, Schedule

SCHEDULE = Schedule(life=timedelta(hours=1), token_life=timedelta(minutes=10))
START = 1_800_000_000.0
STEP_SECONDS = 30
VERIFIER_MAX_AGE_SECONDS = 300


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Makes a folder with one key that begins to sign at START."""
    signing_keys.create(tmp_path, "first")
    for path in tmp_path.iterdir():
        os.utime(path, (START, START))
    return tmp_path


def steps(folder: Path, *, until: timedelta) -> dict[int, str]:
    """Take every step that is due up to a time; return each with its minute."""
    done = {}
    for seconds in range(0, int(until.total_seconds()) + 1, STEP_SECONDS):
        step = key_rotation.advance(folder, SCHEDULE, now=START + seconds)
        if step:
            done[seconds // 60] = step.partition(" ")[2]
    return done


def test_a_key_is_published_then_signs_then_its_former_is_withdrawn(folder: Path):
    """After its life, and each step only when nobody can be caught out by it."""
    done = steps(folder, until=timedelta(minutes=85))

    assert {60: "is published", 70: "signs", 81: "is withdrawn"} == done
    assert signing_keys.read(folder).current_kid != "first"
    assert len(signing_keys.read(folder).public) == 1


def test_every_token_can_be_verified_at_every_moment_of_its_life(folder: Path):
    """Even by somebody whose copy of the keys is as old as a copy may be."""
    published: deque[set[str]] = deque(maxlen=VERIFIER_MAX_AGE_SECONDS // STEP_SECONDS + 1)
    living: deque[str] = deque(maxlen=int(SCHEDULE.token_life.total_seconds()) // STEP_SECONDS + 1)
    rotations = set()
    for seconds in range(0, 5 * 3600, STEP_SECONDS):
        key_rotation.advance(folder, SCHEDULE, now=START + seconds)
        keys = signing_keys.read(folder)
        published.append(set(keys.public))
        living.append(keys.current_kid)
        rotations.add(keys.current_kid)

        # A token from the past is read with today's keys; a token of now with keys of the past.
        assert set(living) <= set(keys.public)
        assert all(keys.current_kid in copy for copy in published)

    assert len(rotations) >= 4


def test_a_rotation_that_was_asked_for_goes_on_by_itself(folder: Path):
    """Whoever writes a key begins one, long before the life of the present one is over."""
    kid = key_rotation.begin(folder, now=START + 60)

    assert kid == key_rotation.begin(folder, now=START + 90)
    assert {11: "signs", 22: "is withdrawn"} == steps(folder, until=timedelta(minutes=30))
    assert kid == signing_keys.read(folder).current_kid


def test_keys_are_introduced_longer_than_verifiers_keep_them():
    """What verifiers hold for five minutes is old news after ten."""
    assert timedelta(seconds=VERIFIER_MAX_AGE_SECONDS) < INTRODUCTION
