"""What Vault's injector makes of a pod's annotations, as far as our charts use them.

| annotation `vault.hashicorp.com/…`     | in the agent's configuration                          |
|----------------------------------------|-------------------------------------------------------|
| `role`, `auth-path`                    | whom it logs in as                                    |
| `agent-inject-secret-<id>`             | a template; which secret stands in its text           |
| `agent-inject-template-<id>`           | the template's text                                   |
| `agent-inject-file-<id>`               | its file ...                                          |
| `secret-volume-path-<id>`              | ... and folder, else /vault/secrets                   |
| `agent-inject-perms-<id>`              | the file's mode                                       |

An init container runs it once (`exit_after_auth`), and a sidecar from then on, on the same files:
developer.hashicorp.com/vault/docs/deploy/kubernetes/injector/annotations.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PREFIX = "vault.hashicorp.com/"
_MOUNT = "/vault/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A pod of a rendered chart whose `/vault` is the folder `files`."""

    template: Mapping[str, Any]
    files: Path

    @property
    def account(self) -> str:
        """Its ServiceAccount."""
        return str(self.template["spec"]["serviceAccountName"])

    @property
    def environment(self) -> dict[str, str]:
        """The variables of its container, with the paths that they have here."""
        (container,) = self.template["spec"]["containers"]
        return {each["name"]: self._here(each["value"]) for each in container["env"]}

    @property
    def secrets(self) -> list[str]:
        """The paths in Vault that it asks for."""
        return [path for name, path in self._annotations("agent-inject-secret-").items() if name]

    def agent(self, token: Path, *, once: bool) -> dict[str, Any]:
        """Returns the agent's configuration; `token` is the file of the ServiceAccount's token."""
        annotations = self.template["metadata"]["annotations"]
        kubernetes = {
            "type": "kubernetes",
            "mount_path": annotations[f"{_PREFIX}auth-path"],
            "config": {"role": annotations[f"{_PREFIX}role"], "token_path": str(token)},
        }
        return {
            "exit_after_auth": once,
            "auto_auth": {"method": [kubernetes]},
            "template_config": {"exit_on_retry_failure": True},
            "template": [
                self._template(each) for each in self._annotations("agent-inject-secret-")
            ],
        }

    def _template(self, name: str) -> dict[str, Any]:
        folder = self._annotations("secret-volume-path-").get(name, f"{_MOUNT}secrets")
        file = self._annotations("agent-inject-file-").get(name, name)
        return {
            "contents": self._here(self._annotations("agent-inject-template-")[name]),
            "destination": self._here(f"{folder}/{file}"),
            "perms": self._annotations("agent-inject-perms-").get(name, "0644"),
            "error_on_missing_key": True,
        }

    def _annotations(self, kind: str) -> dict[str, str]:
        """Returns the annotations of a kind by what follows it."""
        start = _PREFIX + kind
        return {
            key.removeprefix(start): value
            for key, value in self.template["metadata"]["annotations"].items()
            if key.startswith(start)
        }

    def _here(self, text: str) -> str:
        return text.replace(_MOUNT, f"{self.files}/")
