"""Importing TensorBoard's logs: every folder with event files is a run.

A run is known again by its event files, wherever they lie: by name and first record, which hold
when, where and by whom they were begun. A second file in a folder of a known one is that run
resumed. Scalars become points; images, sounds and texts one artifact each; the histograms of a tag
one artifact together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import msgspec
import numpy as np

from sightloop.kernel.errors import Refused
from sightloop.kernel.workspace import Call, Workspace
from sightloop.tracking.errors import NothingToImport
from sightloop.tracking.importing.account import Account
from sightloop.tracking.importing.keeping import Found, Keeper, Kept
from sightloop.tracking.importing.logged_files import files_below, name_below
from sightloop.tracking.importing.naming import histogram_name, media_name
from sightloop.tracking.points import MetricColumns
from sightloop.tracking.tensorboard.events import (
    Event,
    Histogram,
    Media,
    Other,
    Parameters,
    Value,
    decode_event,
)
from sightloop.tracking.tensorboard.reading import EventBatch, read_event_file, scalars_among
from sightloop.tracking.tensorboard.records import find_records
from sightloop.tracking.tensorboard.scalars import ScalarColumns, joined
from sightloop.tracking.tensorboard.wire import BrokenMessage

_HEAD_BYTES = 4096
_POINTS_TOGETHER = 500_000
"""Points are gathered up to so many, 16 MB, before they are written sorted by metric."""
_MAX_TIME_S = 2.0**53 / 1000


def is_event_file(path: Path) -> bool:
    """Whether TensorBoard would take the file for one of its own, by its name."""
    return "tfevents" in path.name and not path.name.endswith(".profile-empty")


def import_tensorboard(
    workspace: Workspace, call: Call, root: Path, experiment: str, account: Account
) -> None:
    """Import the runs in and below the folder, or of the one event file.

    Raises:
        NothingToImport: there is no event file.
    """
    files = [path for path in _files(root) if is_event_file(path)]
    if not files:
        raise NothingToImport(path=str(root), wanted="event file (`*tfevents*`)")
    top = root if root.is_dir() else root.parent
    done, total = 0, sum(path.stat().st_size for path in files)
    for folder, group in groupby(files, key=lambda path: path.parent):
        mine = list(group)
        identities = {path: identity for path in mine if (identity := _identity(path))}
        for path in mine:
            if path not in identities:
                account.skip(str(path), "event file", "its first record is not there yet")
        if identities:
            found = Found(
                experiment=experiment or top.resolve().name,
                name=name_below(folder, top),
                source=str(folder.resolve()),
                identities=list(identities.values()),
                started_at_ms=_begun_at_ms(next(iter(identities))),
            )
            try:
                keeper = Keeper(workspace, account, found)
            except Refused as error:
                account.skip(found.source, "run", error.message)
                continue
            for path, identity in identities.items():
                for n_bytes in _import_file(keeper, path, identity, account):
                    done += n_bytes
                    call.progress("bytes of event files", done, total)


def _files(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
    else:
        yield from files_below(root)


def _import_file(keeper: Keeper, path: Path, identity: str, account: Account) -> Iterator[int]:
    """Import what the file has more than it had; yields how many bytes were dealt with."""
    at = begin = keeper.done_bytes(identity)
    if path.stat().st_size < begin:
        why = f"it has become shorter than the {begin:,} bytes that were imported"
        account.skip(str(path), "event file", why)
        return
    yield begin
    pending = _Pending(keeper, str(path))
    for batch in read_event_file(path, offset=begin):
        account.flaws += batch.flaws
        pending.add(batch)
        if pending.n_points >= _POINTS_TOGETHER or pending.n_bytes > _POINTS_TOGETHER * 32:
            pending.write(identity, batch.end)
        yield batch.end - at
        at = batch.end
    pending.write(identity, at)


class _Pending:
    """What was read and is not written yet."""

    def __init__(self, keeper: Keeper, source: str) -> None:
        self._keeper, self._source = keeper, source
        self._begin()

    def _begin(self) -> None:
        self.n_points = self.n_bytes = 0
        self._scalars: list[ScalarColumns] = []
        self._files: dict[str, bytes] = {}
        self._lines: dict[str, list[bytes]] = {}
        self._params: dict[str, str] = {}

    def add(self, batch: EventBatch) -> None:
        self._scalars += [batch.scalars, scalars_among(batch.events)]
        self.n_points += sum(len(part.values) for part in self._scalars[-2:])
        for event in batch.events:
            for value in event.values:
                self._add(event, value)

    def write(self, identity: str, end: int) -> None:
        last_ms = self._write_points()
        for tag, lines in self._lines.items():
            name = histogram_name(tag)
            known = self._keeper.read_artifact(name).splitlines()
            new = dict.fromkeys([*known, *lines])
            self._files[name] = b"".join(line + b"\n" for line in new)
            if known and len(new) > len(known):
                self._keeper.growing.add(name)
        if self._params:
            self._keeper.label(self._params, {})
        kept = (Kept(name, content) for name, content in self._files.items())
        self._keeper.keep_files(kept, mark=(identity, end))
        self._keeper.end(ended_at_ms=last_ms)
        self._begin()

    def _write_points(self) -> int | None:
        scalars = joined(self._scalars)
        times_s = scalars.wall_times_s
        good = (times_s >= 0) & (times_s < _MAX_TIME_S)
        self._keeper.skip("points", "their time cannot be right", int((~good).sum()))
        at_ms = np.where(good, np.rint(np.where(good, times_s, 0) * 1000), -1).astype(np.int64)
        order = np.argsort(np.where(good, scalars.tag_index, -1), kind="stable")[
            int((~good).sum()) :
        ]
        edges = np.searchsorted(scalars.tag_index[order], np.arange(len(scalars.tags) + 1))
        for number, tag in enumerate(scalars.tags):
            mine = order[edges[number] : edges[number + 1]]
            columns = MetricColumns(scalars.steps[mine], at_ms[mine], scalars.values[mine])
            self._keeper.add_points(tag, columns)
        return int(at_ms.max()) if good.any() else None

    def _add(self, event: Event, value: Value) -> None:
        content = value.content
        if isinstance(content, Histogram):
            line = _histogram_line(event, content)
            self._lines.setdefault(value.tag, []).append(line)
            self.n_bytes += len(line)
        elif isinstance(content, Media):
            self._add_media(value.tag, event.step, content)
        elif isinstance(content, Parameters):
            self._params |= content.values
        elif isinstance(content, Other):
            self._keeper.skip(content.what, "this kind of record is not imported")

    def _add_media(self, tag: str, step: int, media: Media) -> None:
        contents = media.contents
        if media.kind == "text":
            contents = [b"\n".join(contents)]
        for index, content in enumerate(contents):
            name = media_name(media.kind, tag, step, index, content)
            if self._files.get(name, content) != content:
                self._keeper.skip("artifact", f"an older {name} was replaced")
            self._files[name] = content
            self.n_bytes += len(content)


def _histogram_line(event: Event, histogram: Histogram) -> bytes:
    usable = 0 <= event.wall_time_s < _MAX_TIME_S
    facts = {
        "step": event.step,
        "at_ms": round(event.wall_time_s * 1000) if usable else None,
        "limits": histogram.limits,
        "counts": histogram.counts,
    }
    return msgspec.json.encode(facts)


def _head(path: Path) -> bytes | None:
    """The first record, where it is short and all there."""
    with path.open("rb") as file:
        buffer = np.frombuffer(file.read(_HEAD_BYTES), dtype=np.uint8)
    found = find_records(buffer)
    if not len(found.starts):
        return None
    start, length = int(found.starts[0]), int(found.lengths[0])
    return buffer[start : start + length].tobytes()


def _identity(path: Path) -> str | None:
    """What the file is known by; None while it has not even a first record."""
    head = _head(path)
    if head is None:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        if len(head) < _HEAD_BYTES:
            return None
    return "event-file:" + hashlib.sha256(path.name.encode() + b"\0" + head).hexdigest()


def _begun_at_ms(path: Path) -> int:
    """When the file's first event was written; if it does not tell, when the file was changed."""
    head = _head(path)
    try:
        time_s = decode_event(head, {}).wall_time_s if head else -1.0
    except BrokenMessage:
        time_s = -1.0
    usable = 0 < time_s < _MAX_TIME_S
    return round((time_s if usable else path.stat().st_mtime) * 1000)
