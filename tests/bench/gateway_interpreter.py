"""The interpreter that runs FastAPI and our gateway: what it is, and how it was built.

One that is built without `--enable-optimizations` (profile-guided) is about a tenth slower.
Distributions build with profiles, too, but Debian's does not tell so.
"""

import json
import subprocess
from pathlib import Path
from typing import Final

_ASK: Final = """
import json, platform, sys, sysconfig
print(json.dumps([
    platform.python_version(), sys.base_prefix, sysconfig.get_config_var("CONFIG_ARGS") or ""
]))
"""
_SYSTEM: Final = "/usr"


def described(python: str) -> str:
    """Gives version, place and build of an interpreter. Raises OSError or CalledProcessError."""
    answer = subprocess.run(  # noqa: S603  # our own program
        [python, "-c", _ASK], check=True, capture_output=True, text=True
    )
    version, prefix, arguments = json.loads(answer.stdout)
    if "--enable-optimizations" in arguments:
        build = "built with profiles"
    elif Path(prefix) == Path(_SYSTEM):
        build = "as the distribution built it"
    else:
        build = "built without profiles: a tenth slower than what production has"
    return f"FastAPI and the gateway run on Python {version} of {prefix}, {build}"
