"""Reads `kong/edge.yaml`: what is written by hand of Kong's configuration."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

EDGE = Path(__file__).parents[4] / "kong" / "edge.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """What the contracts do not say; the file tells of each."""

    http_host: str
    grpc_host: str
    redis: str
    pages: tuple[str, ...]
    plugins: tuple[dict[str, Any], ...]


def read_edge(path: Path = EDGE) -> Edge:
    """Returns what the file says. Raises KeyError for what it lacks."""
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return Edge(
        http_host=document["hosts"]["http"],
        grpc_host=document["hosts"]["grpc"],
        redis=document["redis"],
        pages=tuple(document["pages"]),
        plugins=tuple(document["plugins"]),
    )
