"""Writes YAML as people read it."""

from typing import Any

import yaml

_ENDLESS = 10_000


class Line(dict[str, Any]):
    """A mapping that stands on one line, however deep."""


class _Dumper(yaml.SafeDumper):
    """Writes no anchors: a reader should not look elsewhere for a value."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _line(dumper: _Dumper, line: Line) -> yaml.Node:
    return dumper.represent_mapping("tag:yaml.org,2002:map", line, flow_style=True)


_Dumper.add_representer(Line, _line)


def document(content: Any) -> str:
    """Returns a YAML document; what holds no further collection stands on one line."""
    return yaml.dump(
        content, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=_ENDLESS
    )
