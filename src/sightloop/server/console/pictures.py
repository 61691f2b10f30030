"""Pictures on pages: original bytes, or a small copy made on the way.

A picture is named by its digest and so never changes; browsers may keep it as long as the session
lasts. A file that cannot be shown is answered by a picture that says so, so a page stays whole.
"""

from __future__ import annotations

from functools import lru_cache
from html import escape
from typing import Annotated, Any

import cv2
from litestar import Request, Response, get
from litestar.params import FromPath, QueryParameter
from numpy.typing import NDArray

from sightloop.inference.errors import UnreadableImage
from sightloop.inference.images import decode_picture, read_facts
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.digests import Digest, parse_digest
from sightloop.kernel.errors import Damaged, NotFound
from sightloop.kernel.workspace import Workspace
from sightloop.server.console.session import viewer_of
from sightloop.server.context import workspace_of

KEEP = {"Cache-Control": "private, max-age=604800, immutable", "X-Content-Type-Options": "nosniff"}
SMALL_QUALITY = 80
N_SMALL_KEPT = 2000
"""Small copies held in memory, about 10 kB each."""


@get("/pictures/{digits:str}", sync_to_thread=True)
def picture(
    digits: FromPath[str],
    request: Request[Any, Any, Any],
    side_px: Annotated[int | None, QueryParameter(name="side", ge=32, le=1024)] = None,
) -> Response[bytes]:
    """The image of that digest; with `side`, a JPEG whose longer side has at most that length."""
    require(viewer_of(request).actor, Permission.READ)
    workspace, digest = workspace_of(request), parse_digest(f"sha256:{digits}")
    if not workspace.blobs.has(digest):
        return _placeholder("there is no such picture", status=404)
    try:
        if side_px is not None:
            content = _small(workspace, digest, side_px)
            return Response(content, media_type="image/jpeg", headers=KEEP)
        content = workspace.blobs.read(digest)
        media_type = read_facts(content, name=digest).media_type
        return Response(content, media_type=media_type, headers=KEEP)
    except (UnreadableImage, Damaged, NotFound) as error:
        return _placeholder(error.message, status=error.http_status)


@lru_cache(maxsize=N_SMALL_KEPT)
def _small(workspace: Workspace, digest: Digest, side_px: int) -> bytes:
    shown: NDArray[Any] = decode_picture(workspace.blobs.read(digest), name=digest)
    scale = side_px / max(shown.shape[:2])
    if scale < 1:
        size = (max(round(shown.shape[1] * scale), 1), max(round(shown.shape[0] * scale), 1))
        shown = cv2.resize(shown, size, interpolation=cv2.INTER_AREA)
    ok, coded = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, SMALL_QUALITY])
    assert ok, "an 8-bit picture can always be encoded"
    return coded.tobytes()


def _placeholder(message: str, *, status: int) -> Response[bytes]:
    words = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 160 120">'
        '<rect width="160" height="120" fill="#dde3ea"/>'
        '<path d="M60 40 100 80M100 40 60 80" stroke="#5a6778" stroke-width="6"/>'
        '<text x="80" y="104" font-size="11" text-anchor="middle" fill="#18212c" '
        f'font-family="sans-serif">cannot be shown</text><title>{escape(message)}</title></svg>'
    )
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    return Response(words.encode(), status_code=status, media_type="image/svg+xml", headers=headers)


def picture_address(digest: Digest, *, side_px: int | None = None) -> str:
    """Where a page finds the image."""
    address = f"/pictures/{digest.removeprefix('sha256:')}"
    return address if side_px is None else f"{address}?side={side_px}"
