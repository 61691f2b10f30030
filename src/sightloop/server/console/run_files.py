"""The files of a run: folders, previews that nothing in a file can act through, and downloads."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import quote

from litestar import Request, Response, get
from litestar.params import FromPath
from litestar.response import Stream

from sightloop.kernel.blobs import begun
from sightloop.kernel.workspace import Workspace
from sightloop.server.console.rendering import page
from sightloop.server.console.run_pages import run_tabs
from sightloop.server.console.session import viewer_of
from sightloop.server.context import workspace_of
from sightloop.tracking.files import FindFile, RunFile, What, find_file
from sightloop.tracking.importing.naming import logged_image
from sightloop.tracking.services import ShowRun, show_run
from sightloop.tracking.values import RunArtifact

OTHER_FILES: Mapping[str, What] = {"environment": "environment", "patch": "patch"}
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
N_IMAGES, N_FILES = 60, 500
PREVIEW_BYTES = 200_000
N_ROWS, N_COLUMNS = 200, 30


class Folder(NamedTuple):
    """A folder in the one that is shown."""

    name: str
    path: str
    n_files: int
    size_bytes: int


class Preview(NamedTuple):
    """The beginning of a file: as a table, as text, or neither where it is something else."""

    table: list[list[str]]
    text: str
    is_cut: bool


@get("/runs/{run:str}/files", sync_to_thread=True)
def run_files(run: FromPath[str], request: Request[Any, Any, Any]) -> Response[str]:
    """A folder of the run (`at`), with a file of it opened (`name`), and the run's images."""
    workspace, viewer = workspace_of(request), viewer_of(request)
    facts = show_run(workspace, viewer.call, ShowRun(run=run))
    at, name = request.query_params.get("at", ""), request.query_params.get("name", "")
    folders, files = contents(facts.artifacts, at)
    images = [one for one in facts.artifacts if is_image(one.name)]
    stepped, others = by_tag(images)
    opened = find_file(workspace, viewer.call, FindFile(run=run, name=name)) if name else None
    return page(
        request,
        "run-files.html",
        viewer,
        run=facts.run,
        tabs=run_tabs(facts),
        at=at,
        above=_above(at),
        folders=folders,
        files=files[:N_FILES],
        n_files=len(files),
        n_all=len(facts.artifacts),
        size_bytes=sum(one.size_bytes for one in facts.artifacts),
        opened=opened,
        is_image=is_image,
        preview=_preview(workspace, opened) if opened and not is_image(opened.name) else None,
        stepped=stepped,
        images=others[:N_IMAGES],
        n_images=len(others),
    )


@get("/runs/{run:str}/file", sync_to_thread=True)
def run_file(run: FromPath[str], request: Request[Any, Any, Any]) -> Stream:
    """A file of the run, always to be saved and never to be shown: an engine may write anything."""
    workspace = workspace_of(request)
    asked = request.query_params
    what = OTHER_FILES.get(asked.get("what", ""), "artifact")
    wanted = FindFile(run=run, what=what, name=asked.get("name", ""))
    found = find_file(workspace, viewer_of(request).call, wanted)
    file_name = quote(found.name.rpartition("/")[2][-120:], safe="")
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{file_name}",
        "Content-Length": str(found.size_bytes),
        "Content-Security-Policy": "sandbox",
        "X-Content-Type-Options": "nosniff",
    }
    media_type = "application/octet-stream"
    chunks = begun(workspace.blobs.stream(found.digest))
    return Stream(chunks, media_type=media_type, headers=headers)


def contents(artifacts: Sequence[RunArtifact], at: str) -> tuple[list[Folder], list[RunArtifact]]:
    """The folders and files right below `at`, which is empty or ends with a slash."""
    folders: dict[str, list[int]] = {}
    files = []
    for one in artifacts:
        if not one.name.startswith(at):
            continue
        folder, slash, _ = one.name[len(at) :].partition("/")
        if slash:
            folders.setdefault(folder, []).append(one.size_bytes)
        else:
            files.append(one)
    found = [
        Folder(name, f"{at}{name}/", len(sizes), sum(sizes))
        for name, sizes in sorted(folders.items())
    ]
    return found, files


def is_image(name: str) -> bool:
    """Whether the file is called like a picture."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def by_tag(
    images: Sequence[RunArtifact],
) -> tuple[list[tuple[str, list[tuple[int, RunArtifact]]]], list[RunArtifact]]:
    """Images that were logged at steps, by tag and step, and all others."""
    stepped: dict[str, list[tuple[int, RunArtifact]]] = {}
    others = []
    for one in images:
        logged = logged_image(one.name)
        if logged is None:
            others.append(one)
        else:
            stepped.setdefault(logged.tag, []).append((logged.step, one))
    ordered = [
        (tag, sorted(some, key=lambda pair: (pair[0], pair[1].name))[-N_IMAGES:])
        for tag, some in sorted(stepped.items())
    ]
    return ordered, others


def preview_of(name: str, head: bytes, *, is_cut: bool) -> Preview | None:
    r"""What can be shown of a file that begins with these bytes; None for one that is no text.

    >>> preview_of("results.csv", b"epoch,loss\n1,0.5\n", is_cut=False).table
    [['epoch', 'loss'], ['1', '0.5']]
    """
    if b"\0" in head:
        return None
    text = head.decode(errors="replace")
    if text.count("\ufffd") > len(text) // 50 + 1:
        return None
    if name.lower().endswith((".csv", ".tsv")):
        table = _table(text, "\t" if name.lower().endswith(".tsv") else ",")
        if table:
            return Preview(table, "", is_cut or text.count("\n") > N_ROWS)
    if name.lower().endswith(".json") and not is_cut:
        text = _indented(text)
    return Preview([], text, is_cut)


def _preview(workspace: Workspace, opened: RunFile) -> Preview | None:
    head = b""
    for part in workspace.blobs.stream(opened.digest):
        head += part
        if len(head) > PREVIEW_BYTES:
            break
    return preview_of(opened.name, head[:PREVIEW_BYTES], is_cut=len(head) > PREVIEW_BYTES)


def _table(text: str, delimiter: str) -> list[list[str]]:
    try:
        rows = list(islice(csv.reader(io.StringIO(text), delimiter=delimiter), N_ROWS + 1))
    except csv.Error:
        return []
    return [[cell.strip() for cell in row[:N_COLUMNS]] for row in rows if row]


def _indented(text: str) -> str:
    try:
        shown = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
    # Deep nesting is mostly spaces: a thousand times what the file holds, and nothing to read.
    return shown if len(shown) <= 10 * len(text) + 1000 else text


def _above(at: str) -> list[tuple[str, str]]:
    """The folders above, the outermost first: name and path."""
    names = at.strip("/").split("/") if at.strip("/") else []
    return [(name, "/".join(names[: depth + 1]) + "/") for depth, name in enumerate(names)]
