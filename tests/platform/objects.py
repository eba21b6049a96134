"""What Helm rendered, to be asked for by kind and name."""

from collections.abc import Iterator, Mapping
from typing import Any

Object = dict[str, Any]

_POD_TEMPLATES = ("Deployment", "Job")


class Objects:
    """The objects of one layer of one chart."""

    def __init__(self, objects: list[Object]) -> None:
        self._objects = objects

    def __iter__(self) -> Iterator[Object]:
        return iter(self._objects)

    def all(self, kind: str) -> list[Object]:
        """Returns every object of a kind."""
        return [each for each in self._objects if each["kind"] == kind]

    def one(self, kind: str, name: str = "") -> Object:
        """Returns the object of a kind, by its name if there are several. Raises ValueError."""
        found = [each for each in self.all(kind) if name in {"", each["metadata"]["name"]}]
        (each,) = found
        return each

    @property
    def deployment(self) -> Object:
        """The deployment's spec."""
        spec: Object = self.one("Deployment")["spec"]
        return spec

    @property
    def deployment_name(self) -> str:
        """The deployment's name, which most other objects share."""
        return str(self.one("Deployment")["metadata"]["name"])

    @property
    def container(self) -> Object:
        """The deployment's only container."""
        (container,) = self.deployment["template"]["spec"]["containers"]
        return dict(container)

    def pods(self) -> dict[str, Object]:
        """Returns the spec of every pod, by the kind and the name of what makes it."""
        return {
            f"{each['kind']}/{each['metadata']['name']}": (
                each["spec"]["template"]["spec"] if each["kind"] in _POD_TEMPLATES else each["spec"]
            )
            for each in self._objects
            if each["kind"] in {*_POD_TEMPLATES, "Pod"}
        }


def environment(container: Mapping[str, Any]) -> dict[str, str]:
    """Returns a container's variables."""
    return {each["name"]: each["value"] for each in container.get("env", ())}


def seconds(span: str) -> int:
    """Returns the seconds of a setting like "5s"."""
    return int(span.removesuffix("s"))
