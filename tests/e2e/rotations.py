"""Everything that can expire is exchanged under load, and nobody's call fails.

    python -m tests.e2e.rotations [--seconds 600]      `make rotate`

| what                               | how                                                       |
|------------------------------------|-----------------------------------------------------------|
| every identity                     | `souk certs rotate`                                       |
| the authority, in three steps      | `souk certs rotate --authority`                           |
| the key of access tokens           | `souk secrets rotate`                                     |
| each service's PostgreSQL user     | `souk secrets rotate`: the former one is shut out         |
| the Redis user of who has one      | another one by ACL; the former one is deleted             |
| the MongoDB client                 | another URL for the same server, which knows no passwords |
"""

import argparse
import asyncio
import secrets
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

from redis.asyncio import Redis

from services.local import secret_files, topology
from services.local.data_folder import DataFolder
from services.local.endpoints import Endpoints
from tests.e2e import rotation_load
from tests.e2e.rotation_load import Load

_COMMAND_SECONDS = 120
_MOVED_SECONDS = 120
_REDIS_USERS = ("gateway", *topology.services_with("redis"))


async def souk(folder: DataFolder, *arguments: str) -> None:
    """Run a command of `souk` on the folder. Raises AssertionError with what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.local", *arguments, "--data", str(folder.path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_COMMAND_SECONDS):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, f"souk {' '.join(arguments)}:\n{output.decode()}"


async def identities(load: Load) -> None:
    """Exchange every certificate, and then the authority in its three steps."""
    await souk(load.folder, "certs", "rotate")
    await souk(load.folder, "certs", "rotate", "--authority")


async def keys_and_passwords(load: Load) -> None:
    """Exchange the key of access tokens and the database user of each service."""
    await souk(load.folder, "secrets", "rotate")


async def stores(load: Load) -> None:
    """Exchange the users of Redis, and the client of MongoDB."""
    await _redis(load.folder, load.endpoints)
    # Another each time, of the same meaning.
    patience = 30_000 + secrets.randbelow(1000)
    url = f"{load.endpoints.mongo}?maxIdleTimeMS={patience}"
    secret_files.write(load.folder, "product", {"mongo_url": url})
    await load.more(5)


async def all_at_once(load: Load) -> None:
    """Exchange everything at the same time."""
    async with asyncio.TaskGroup() as tasks:
        for each in (identities, keys_and_passwords, stores):
            tasks.create_task(each(load))


async def _redis(folder: DataFolder, where: Endpoints) -> None:
    """Let another user in, have everybody move there, and delete the users of before."""
    user, password = f"souk-{uuid4().hex[:8]}", uuid4().hex
    parts = urlsplit(where.redis)
    url = urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.netloc}"))
    async with Redis.from_url(where.redis) as admin:
        former = [name for each in await admin.acl_users() if (name := _text(each)) != "default"]
        await admin.execute_command(
            "ACL", "SETUSER", user, "on", f">{password}", "~*", "&*", "+@all"
        )
        for process in _REDIS_USERS:
            secret_files.write(folder, process, {"redis_url": url})
        async with asyncio.timeout(_MOVED_SECONDS):
            while {user} != await _users_of_services(admin):
                await asyncio.sleep(0.2)
        for name in former:
            await admin.acl_deluser(name)


async def _users_of_services(admin: Redis) -> set[str]:
    """Return as whom the processes of the mesh are connected."""
    return {each["user"] for each in await admin.client_list() if each["name"] in _REDIS_USERS}


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


async def _run(seconds: float) -> int:
    """Exchange everything again and again; return the exit code."""
    from tests.e2e.conftest import running  # noqa: PLC0415 - with it comes pytest

    with tempfile.TemporaryDirectory(prefix="souk-rotations-") as root:
        async with running(Path(root)) as mesh:
            until, rounds = time.monotonic() + seconds, 0
            async with rotation_load.calling(
                mesh.folder, mesh.endpoints, mesh.accounts["customer"]
            ) as load:
                while time.monotonic() < until:
                    began = time.monotonic()
                    await all_at_once(load)
                    rounds += 1
                    told = f"round {rounds}: {time.monotonic() - began:.1f} s"
                    _say(f"{told}, {load.done.total()} calls, {len(load.failures)} failed")
            for failure in load.failures:
                _say(failure)
            for kind, count in load.done.items():
                _say(f"  {kind:<24} {count:>8}")
    return 1 if load.failures else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run what the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.rotations", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seconds", type=float, default=600, help="for how long; 600 if not given")
    return asyncio.run(_run(parser.parse_args().seconds))


if __name__ == "__main__":
    sys.exit(main())
