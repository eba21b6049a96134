"""A reconciler as small as one can be: what Argo CD does with an Application, without a cluster.

    fetch ── render ── hooks ── apply by wave ── prune

It clones a real repository and renders with the real Helm. The cluster is a mapping; an object is
of the Application that applied it. A revision that cannot be rendered changes nothing.
"""

import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.platform.charts import HELM
from tests.platform.gitops.applications import Application

Object = dict[str, Any]
Key = tuple[str, str]

_WAVE = "argocd.argoproj.io/sync-wave"
_HOOK = "helm.sh/hook"
_BEFORE_SYNC = {"pre-install", "pre-upgrade"}


class CannotRender(Exception):
    """A revision whose chart does not render; what runs stays as it is."""


@dataclass(slots=True)
class Cluster:
    """What runs: each object by kind and name, and whose it is; `ran` are the hooks, in order."""

    objects: dict[Key, Object] = field(default_factory=dict)
    owners: dict[Key, str] = field(default_factory=dict)
    ran: list[Key] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """What one reconciliation did: the objects it applied, in order, and those it removed."""

    revision: str
    applied: tuple[Key, ...]
    pruned: tuple[Key, ...]


class Reconciler:
    """Makes a cluster what the main branch of a repository says."""

    def __init__(self, repository: Path, clone: Path, cluster: Cluster) -> None:
        """`clone` is where it keeps its own copy; it must not exist yet."""
        _run("git", "clone", "--quiet", str(repository), str(clone))
        self._clone = clone
        self._cluster = cluster

    @property
    def root(self) -> Path:
        """The files of the revision that was synced last."""
        return self._clone

    def sync(self, application: Application) -> Sync:
        """Fetches and makes the cluster follow. Raises CannotRender."""
        _run("git", "fetch", "--quiet", "origin", "main", cwd=self._clone)
        _run("git", "reset", "--quiet", "--hard", "origin/main", cwd=self._clone)
        _run("git", "clean", "--quiet", "-fdx", cwd=self._clone)
        rendered = list(self._render(application))
        hooks = [each for each in rendered if _hooks_of(each) & _BEFORE_SYNC]
        wanted = {_key(each): each for each in rendered if not _hooks_of(each)}
        changed = [
            key
            for key, each in sorted(wanted.items(), key=lambda item: _wave(item[1]))
            if self._cluster.objects.get(key) != each
        ]
        if changed:
            self._cluster.ran.extend(map(_key, hooks))
        for key in changed:
            self._cluster.objects[key] = wanted[key]
            self._cluster.owners[key] = application.name
        return Sync(
            revision=_run("git", "rev-parse", "HEAD", cwd=self._clone).strip(),
            applied=tuple(changed),
            pruned=tuple(self._prune(application, wanted)),
        )

    def _prune(self, application: Application, wanted: Iterable[Key]) -> Iterator[Key]:
        own = {key for key, owner in self._cluster.owners.items() if owner == application.name}
        for key in sorted(own.difference(wanted)):
            del self._cluster.objects[key], self._cluster.owners[key]
            yield key

    def _render(self, application: Application) -> Iterator[Object]:
        chart = self._clone / application.path
        values = [f"--values={chart / file}" for file in application.value_files]
        _run(str(HELM), "dependency", "build", str(chart))
        text = _run(str(HELM), "template", application.release, str(chart), *values)
        for each in yaml.safe_load_all(text):
            # `helm test` is no part of a sync.
            if each and _hooks_of(each) != {"test"}:
                yield each


def _key(manifest: Object) -> Key:
    return str(manifest["kind"]), str(manifest["metadata"]["name"])


def _annotations(manifest: Object) -> dict[str, str]:
    return manifest["metadata"].get("annotations") or {}


def _hooks_of(manifest: Object) -> set[str]:
    return {each for each in _annotations(manifest).get(_HOOK, "").split(",") if each}


def _wave(manifest: Object) -> int:
    return int(_annotations(manifest).get(_WAVE, "0"))


def _run(*command: str, cwd: Path | None = None) -> str:
    completed = subprocess.run(  # noqa: S603 - git and Helm, with our own files
        command, cwd=cwd, capture_output=True, text=True, check=False, timeout=180
    )
    if completed.returncode:
        raise CannotRender(completed.stderr.strip())
    return completed.stdout
