"""Update files for devices: signed metadata, manifests and blobs, all of them static and public.

Nothing here needs a token: metadata is signed, and only files of released bundles are given out.
Ranges are answered, so that an interrupted download goes on where it stopped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from litestar import Request, Response, get
from litestar.params import FromPath
from litestar.response import Stream

from sightloop.fleet import update_repository
from sightloop.kernel.blobs import CHUNK_BYTES
from sightloop.kernel.digests import Digest, parse_digest
from sightloop.kernel.errors import NotFound
from sightloop.kernel.workspace import Workspace
from sightloop.server.context import workspace_of

OCTETS = "application/octet-stream"
_METADATA_NAME = re.compile(r"[A-Za-z0-9._-]+\.json")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@get("/tuf/metadata/{name:str}", sync_to_thread=True)
def metadata_file(name: FromPath[str], request: Request[Any, Any, Any]) -> Response[bytes]:
    """A file of the signed metadata."""
    workspace = workspace_of(request)
    path = update_repository.update_metadata_folder(workspace) / name
    if not _METADATA_NAME.fullmatch(name) or not path.is_file():
        raise NotFound(what="metadata file", name=name)
    return Response(path.read_bytes(), media_type="application/json")


@get("/tuf/targets/{target:path}", sync_to_thread=True)
def target_file(target: FromPath[Path], request: Request[Any, Any, Any]) -> Response[Any]:
    """A signed target: the manifest of a model version."""
    workspace = workspace_of(request)
    digest = update_repository.target_blob(workspace, str(target).lstrip("/"))
    return _blob(workspace, digest, request)


@get("/tuf/blobs/{digits:str}", sync_to_thread=True)
def blob_file(digits: FromPath[str], request: Request[Any, Any, Any]) -> Response[Any]:
    """A file that a manifest names by its digest."""
    workspace = workspace_of(request)
    digest = update_repository.released_blob(workspace, parse_digest(f"sha256:{digits}"))
    return _blob(workspace, digest, request)


def _blob(workspace: Workspace, digest: Digest, request: Request[Any, Any, Any]) -> Response[Any]:
    if not workspace.blobs.has(digest):
        raise NotFound(what="blob", name=digest)
    path = workspace.blobs.local_path(digest)
    size_bytes = path.stat().st_size
    headers = {"Accept-Ranges": "bytes", "ETag": f'"{digest}"'}
    wanted = _RANGE.fullmatch(request.headers.get("range", ""))
    if wanted is None:
        return _stream(path, start=0, end=size_bytes, headers=headers, status=200)
    start = int(wanted[1])
    end = min(int(wanted[2]) + 1 if wanted[2] else size_bytes, size_bytes)
    if start >= end:
        headers["Content-Range"] = f"bytes */{size_bytes}"
        return Response(b"", status_code=416, headers=headers, media_type=OCTETS)
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{size_bytes}"
    return _stream(path, start=start, end=end, headers=headers, status=206)


def _stream(
    path: Path, *, start: int, end: int, headers: dict[str, str], status: int
) -> Response[Any]:
    def chunks() -> Iterator[bytes]:
        left = end - start
        with path.open("rb") as file:
            file.seek(start)
            while left > 0 and (chunk := file.read(min(CHUNK_BYTES, left))):
                left -= len(chunk)
                yield chunk

    headers["Content-Length"] = str(end - start)
    return Stream(chunks(), media_type=OCTETS, headers=headers, status_code=status)
