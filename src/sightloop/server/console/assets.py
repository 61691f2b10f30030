"""Scripts, styles and icons: read once, named by what they hold, so browsers may keep them."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from litestar import Request, Response, get
from litestar.params import FromPath

from sightloop.kernel.errors import NotFound

FOLDER = Path(__file__).parent / "static"
FOREVER = "public, max-age=31536000, immutable"
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, ready to be sent."""

    name: str
    media_type: str
    content: bytes
    packed: bytes
    """The content, gzipped."""
    digest: str
    """Sixteen hexadecimal digits of the content's SHA-256."""


@cache
def assets() -> dict[str, Asset]:
    """Every file under `static/` by its path there."""
    return {
        path.relative_to(FOLDER).as_posix(): _read(path)
        for path in sorted(FOLDER.rglob("*"))
        if path.suffix in MEDIA_TYPES
    }


def asset_address(name: str) -> str:
    """Where a page finds the asset; another content has another address."""
    return f"/static/{assets()[name].digest}/{name}"


@get("/static/{digest:str}/{name:path}", sync_to_thread=False)
def asset_file(
    digest: FromPath[str], name: FromPath[str], request: Request[Any, Any, Any]
) -> Response[bytes]:
    """An asset; public, for it tells nothing about the workspace."""
    asset = assets().get(str(name).lstrip("/"))
    if asset is None or asset.digest != digest:
        raise NotFound(what="asset", name=str(name).lstrip("/"), hint="reload the page")
    headers = {
        "Cache-Control": FOREVER,
        "X-Content-Type-Options": "nosniff",
        "Vary": "Accept-Encoding",
    }
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(asset.packed, media_type=asset.media_type, headers=headers)
    return Response(asset.content, media_type=asset.media_type, headers=headers)


@get("/favicon.ico", sync_to_thread=False)
def favicon() -> Response[bytes]:
    """The icon, where browsers look for it beside a picture that is opened by itself."""
    icon = assets()["icon.svg"]
    return Response(icon.content, media_type=icon.media_type, headers={"Cache-Control": FOREVER})


def _read(path: Path) -> Asset:
    content = path.read_bytes()
    return Asset(
        name=path.relative_to(FOLDER).as_posix(),
        media_type=MEDIA_TYPES[path.suffix],
        content=content,
        packed=gzip.compress(content, 9, mtime=0),
        digest=hashlib.sha256(content).hexdigest()[:16],
    )
