"""Answers what is not a call: health, the OpenAPI document, and its reading room.

/healthz        200 as long as the process lives
/readyz         200 if every upstream is ready, else 503; tells of each
/openapi.json   the document
/docs           Swagger UI on the document, from files of this machine
"""

import asyncio
import importlib.util
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from gateway.transcoding.errors import Headers
from gateway.transcoding.http import Answer, Handler, HttpRequest, HttpResponse

ReadinessCheck = Callable[[], Awaitable[bool]]

_JSON: Final = (b"content-type", b"application/json")
_NO_STORE: Final = (b"cache-control", b"no-store")
# Scripts and styles are files of ours; Swagger UI draws data: images.
_CONTENT_SECURITY_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:"
    b"; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HARDENED: Final[Headers] = [(b"content-security-policy", _CONTENT_SECURITY_POLICY)]
_ASSETS: Final = {
    "swagger-ui.css": b"text/css",
    "swagger-ui-bundle.js": b"text/javascript",
    "favicon-32x32.png": b"image/png",
}
_INDEX: Final = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>API reference</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="stylesheet" href="docs/page.css">
<link rel="icon" type="image/png" href="docs/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_STYLE: Final = b"""body {
  margin: 0;
}
"""
_START: Final = b"""SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  filter: true,
});
"""


class Pages:
    """The pages, and whether the process still wants requests."""

    def __init__(self) -> None:
        """There is nothing to show before `show`."""
        self._document = b""
        self._checks: Mapping[str, ReadinessCheck] = {}
        self._is_draining = False
        folder = _assets_folder()
        self._files: dict[str, tuple[bytes | Path, bytes]] = {
            "/docs": (_INDEX, b"text/html; charset=utf-8"),
            "/docs/page.css": (_STYLE, b"text/css"),
            "/docs/start.js": (_START, b"text/javascript"),
            **{f"/docs/{name}": (folder / name, kind) for name, kind in _ASSETS.items()},
        }

    def show(self, document: bytes, checks: Mapping[str, ReadinessCheck]) -> None:
        """Answers `document`, which is JSON, and by `checks` of each upstream, from now on."""
        self._document, self._checks = document, checks

    def drain(self) -> None:
        """Is not ready from now on."""
        self._is_draining = True

    def before(self, handler: Handler) -> Handler:
        """Answers the pages' own paths, and leaves all others to `handler`."""
        paths = frozenset(("/healthz", "/readyz", "/openapi.json", *self._files))

        def handle(request: HttpRequest) -> Answer:
            if request.path in paths and request.method in ("GET", "HEAD"):
                return self._page(request.path)
            return handler(request)

        return handle

    def _page(self, path: str) -> Answer:
        if path == "/healthz":
            return _json({"status": "alive"})
        if path == "/readyz":
            return asyncio.get_running_loop().create_task(self._readiness())
        if path == "/openapi.json":
            headers = [_JSON, (b"cache-control", b"no-cache")]
            return HttpResponse(status=200, headers=headers, body=self._document)
        return asyncio.get_running_loop().create_task(self._file(path))

    async def _readiness(self) -> HttpResponse:
        results = await asyncio.gather(*(check() for check in self._checks.values()))
        ready = dict(zip(self._checks, results, strict=True))
        is_ready = all(results) and not self._is_draining
        answer = {
            "status": "draining" if self._is_draining else "ready" if is_ready else "not ready",
            "upstreams": {name: "ready" if ready[name] else "not ready" for name in sorted(ready)},
        }
        return _json(answer, status=200 if is_ready else 503)

    async def _file(self, path: str) -> HttpResponse:
        content, kind = self._files[path]
        body = await asyncio.to_thread(content.read_bytes) if isinstance(content, Path) else content
        headers = [(b"content-type", kind), (b"cache-control", b"max-age=3600"), *_HARDENED]
        return HttpResponse(status=200, headers=headers, body=body)


def _json(answer: object, *, status: int = 200) -> HttpResponse:
    return HttpResponse(status=status, headers=[_JSON, _NO_STORE], body=json.dumps(answer).encode())


def _assets_folder() -> Path:
    """Finds Swagger UI's files without importing the package that ships them."""
    found = importlib.util.find_spec("flask_swagger_ui")
    if found is None or not found.submodule_search_locations:
        raise RuntimeError("flask-swagger-ui is not installed")
    return Path(next(iter(found.submodule_search_locations)), "dist")
