#!/usr/bin/env python3
"""Brings a Vault (or OpenBao) to what configuration.json and policies/ say; again changes nothing.

    VAULT_ADDR=https://vault:8200 VAULT_TOKEN=… POSTGRES_ADDRESS=db:5432 POSTGRES_PASSWORD=… \
        python configure.py [--dry-run]

What is missing is mounted, every policy and role is written, and what an older table left over
(named `souk-…` and no longer in it) is deleted. Secrets are never touched. The PostgreSQL password
is needed once: Vault then replaces it by one that only Vault knows, and again whenever it is given.

A Vault outside of the cluster also needs OUTSIDE_KUBERNETES=true, KUBERNETES_HOST, as PEM
KUBERNETES_CA_CERT, and as KUBERNETES_REVIEWER_TOKEN the token of a ServiceAccount that has the
ClusterRole system:auth-delegator: by a pod's own, which is for Vault alone, the API server answers
nothing. VAULT_CACERT and VAULT_NAMESPACE mean what they mean to Vault's own program.

It needs nothing but Python, so that a Job can run it in any image that has one. Exit codes: 0 all
is applied, 1 Vault refused or cannot be reached, 2 the environment lacks something.
"""

import argparse
import json
import os
import re
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DEFAULTS = {
    "KUBERNETES_HOST": "https://kubernetes.default.svc",
    "KUBERNETES_CA_CERT": "",
    "KUBERNETES_REVIEWER_TOKEN": "",
    "OUTSIDE_KUBERNETES": "false",
    "POSTGRES_SSLMODE": "verify-full",
}

_TIMEOUT_SECONDS = 30
_NOT_FOUND = 404


class Refused(Exception):
    """Vault did not do what it was asked for; the message says what and why."""


class Missing(Exception):
    """The environment lacks a variable."""


class Vault:
    """The HTTP API below `/v1`. With `dry_run` nothing is written, only told."""

    def __init__(self, address: str, token: str, *, namespace: str, dry_run: bool) -> None:
        self._address = address.rstrip("/")
        self._headers = {"X-Vault-Token": token, "X-Vault-Request": "true"}
        if namespace:
            self._headers["X-Vault-Namespace"] = namespace
        self._dry_run = dry_run
        self._tls = ssl.create_default_context(cafile=os.environ.get("VAULT_CACERT"))

    def read(self, path: str) -> dict[str, Any] | None:
        """Returns the data at `path`, None if there is nothing."""
        return self._call("GET", path)

    def names(self, path: str) -> list[str]:
        """Returns what a LIST of `path` tells."""
        data = self._call("LIST", path)
        return [] if data is None else list(data["keys"])

    def write(self, path: str, body: Mapping[str, Any]) -> None:
        """Writes `body` to `path`."""
        self._change("POST", path, body)

    def delete(self, path: str) -> None:
        """Deletes what is at `path`."""
        self._change("DELETE", path, None)

    def _change(self, method: str, path: str, body: Mapping[str, Any] | None) -> None:
        sys.stdout.write(f"{'would ' * self._dry_run}{method.lower()} {path}\n")
        if not self._dry_run:
            self._call(method, path, body)

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any] | None:
        request = urllib.request.Request(  # noqa: S310 - the address is the operator's
            f"{self._address}/v1/{path}",
            method=method,
            headers=self._headers,
            data=None if body is None else json.dumps(body).encode(),
        )
        context = self._tls if self._address.startswith("https:") else None
        try:
            with urllib.request.urlopen(  # noqa: S310 - likewise
                request, timeout=_TIMEOUT_SECONDS, context=context
            ) as response:
                text = response.read()
        except urllib.error.HTTPError as error:
            if error.code == _NOT_FOUND and method in {"GET", "LIST"}:
                return None
            reasons = "; ".join(_reasons(error.read())) or error.reason
            raise Refused(f"{method} {path}: {error.code} {reasons}") from error
        except OSError as error:
            raise Refused(f"{method} {path}: {error}") from error
        return dict(json.loads(text).get("data") or {}) if text else {}


def configure(vault: Vault, wanted: Mapping[str, Any], policies: Mapping[str, str]) -> None:
    """Applies everything in the order in which one thing needs the other. Raises Refused."""
    _mount(vault, wanted["mounts"])
    for name, policy in policies.items():
        vault.write(f"sys/policies/acl/{name}", {"policy": policy})
    if not vault.names("pki/issuers"):
        vault.write("pki/root/generate/internal", wanted["authority"])
    _connect(vault, **wanted["connection"])
    for path, body in wanted["writes"].items():
        vault.write(path, body)
    _tidy(vault, wanted, policies)


def _mount(vault: Vault, mounts: Mapping[str, Mapping[str, Any]]) -> None:
    for path, body in mounts.items():
        kind, _, name = path.partition("/")
        if f"{name}/" not in (vault.read(f"sys/{kind}") or {}):
            vault.write(f"sys/{path}", body)


def _connect(vault: Vault, *, path: str, body: Mapping[str, Any], first: Mapping[str, Any]) -> None:
    """Describes the database server; the first time with the password that is then replaced."""
    is_new = vault.read(path) is None
    missing = [name for name, value in first.items() if not value]
    if is_new and missing:
        raise Missing(f"{missing[0]}: POSTGRES_PASSWORD is needed the first time")
    vault.write(path, {**body, **first} if is_new else body)
    # Who gives it again may do so because the run before ended between the two.
    if not missing:
        vault.write(path.replace("/config/", "/rotate-root/"), {})


def _tidy(vault: Vault, wanted: Mapping[str, Any], policies: Mapping[str, str]) -> None:
    written = {wanted["connection"]["path"], *wanted["writes"]}
    written |= {f"sys/policies/acl/{name}" for name in policies}
    for folder in wanted["owned"]["lists"]:
        for name in vault.names(folder):
            if name.startswith(wanted["owned"]["prefix"]) and f"{folder}/{name}" not in written:
                vault.delete(f"{folder}/{name}")


def filled(text: str, environ: Mapping[str, str]) -> Any:
    """Returns the configuration with each `${NAME}` replaced. Raises Missing."""
    values = {**DEFAULTS, "POSTGRES_PASSWORD": "", **environ}

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise Missing(f"{match[1]} is not set")
        return json.dumps(values[match[1]])[1:-1]

    return json.loads(re.sub(r"\$\{(\w+)\}", value, text))


def _reasons(text: bytes) -> list[str]:
    try:
        return [str(each).strip() for each in json.loads(text)["errors"]]
    except (ValueError, KeyError, TypeError):
        return []


def main() -> int:
    """Runs the command line."""
    lines = (__doc__ or "").splitlines()
    parser = argparse.ArgumentParser(
        description=lines[0],
        epilog="\n".join(lines[2:]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dry-run", action="store_true", help="tell what would be written")
    options = parser.parse_args()
    try:
        if os.environ.get("OUTSIDE_KUBERNETES") == "true":
            _needed("KUBERNETES_REVIEWER_TOKEN")
        wanted = filled((HERE / "configuration.json").read_text("utf-8"), os.environ)
        vault = Vault(
            _needed("VAULT_ADDR"),
            _needed("VAULT_TOKEN"),
            namespace=os.environ.get("VAULT_NAMESPACE", ""),
            dry_run=options.dry_run,
        )
        configure(vault, wanted, _policies())
    except Missing as missing:
        sys.stderr.write(f"configure: {missing}\n")
        return 2
    except Refused as refused:
        sys.stderr.write(f"configure: {refused}\n")
        return 1
    return 0


def _policies() -> dict[str, str]:
    """Returns the policies by name; a ConfigMap has them beside the configuration."""
    files = [*HERE.glob("policies/*.hcl"), *HERE.glob("*.hcl")]
    return {file.stem: file.read_text("utf-8") for file in sorted(files)}


def _needed(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise Missing(f"{name} is not set")
    return value


if __name__ == "__main__":
    sys.exit(main())
