"""Kong's configuration, out of the contracts and `kong/edge.yaml`.

    contract ── routes ─┬─ declarative ── kong/kong.yaml                 without a database
    edge.yaml ── edge ──┘─ kubernetes ─── kong/kubernetes/derived/*.yaml for its ingress controller

Which plugins a route has says `plugins`, for both.
"""

from services.local.derived.deriver import Deriver
from services.local.derived.kong import declarative, kubernetes
from services.local.derived.kong.edge import read_edge
from services.local.derived.kong.routes import edge_routes


def files() -> dict[str, str]:
    """Returns the derived files of `kong/` by path."""
    edge, routes = read_edge(), edge_routes()
    return {
        "kong/kong.yaml": declarative.render(edge, routes),
        **{
            f"kong/kubernetes/derived/{name}": text
            for name, text in kubernetes.render(edge, routes).items()
        },
    }


DERIVER = Deriver(owns=("kong/kong.yaml", "kong/kubernetes/derived/*.yaml"), files=files)
