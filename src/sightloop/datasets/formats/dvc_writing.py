"""Writing a data set as a folder that DVC tracks: COCO, the `.dvc` file, and its cache.

The folder is a DVC repository of its own (as `dvc init --no-scm` makes it), so that `dvc status`,
`dvc checkout`, `dvc push` work in it at once.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from sightloop.datasets.formats.coco_writing import CocoWriter
from sightloop.datasets.formats.dvc_files import CACHE_LAYOUT, DVC_FOLDER
from sightloop.datasets.records import CommitRecord
from sightloop.datasets.values import Sample

DATA_NAME = "data"

_READ_ONLY = 0o444
_SETTINGS: Mapping[str, str] = {
    f"{DVC_FOLDER}/config": "[core]\n    no_scm = True\n",
    f"{DVC_FOLDER}/.gitignore": "/config.local\n/tmp\n/cache\n",
    ".dvcignore": "",
    ".gitignore": f"/{DATA_NAME}\n",
}


class _Tracked(NamedTuple):
    relpath: str
    md5: str
    size_bytes: int


class DvcWriter:
    """Writes COCO into a folder and has DVC's files say what is in it; see `writers.Writer`."""

    def __init__(self, record: CommitRecord, folder: Path) -> None:
        self._folder = folder
        (folder / DATA_NAME).mkdir()
        self._inner = CocoWriter(record, folder / DATA_NAME)
        self.not_kept: Counter[str] = self._inner.not_kept

    @property
    def n_annotations(self) -> int:
        """Annotations so far."""
        return self._inner.n_annotations

    def add(self, sample: Sample) -> str:
        """Take the sample in; see `writers.Writer.add`."""
        return f"{DATA_NAME}/{self._inner.add(sample)}"

    def finish(self) -> None:
        """Write the labels, then the cache, then what refers to it."""
        self._inner.finish()
        data = self._folder / DATA_NAME
        paths = sorted(path for path in data.rglob("*") if path.is_file())
        files = sorted(self._keep(path, path.relative_to(data).as_posix()) for path in paths)
        # Byte for byte as DVC writes it: its MD5 is the folder's name.
        entries = [{"md5": one.md5, "relpath": one.relpath} for one in files]
        content = json.dumps(entries, sort_keys=True).encode()
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        path = self._object(md5, ".dir")
        path.write_bytes(content)
        path.chmod(_READ_ONLY)
        for name, text in _SETTINGS.items():
            (self._folder / name).write_text(text, encoding="utf-8")
        n_bytes = sum(one.size_bytes for one in files)
        self.source().write_text(
            f"outs:\n- md5: {md5}.dir\n  size: {n_bytes}\n  nfiles: {len(files)}\n"
            f"  hash: md5\n  path: {DATA_NAME}\n",
            encoding="utf-8",
        )

    def images_folder(self) -> Path:
        """Where the images go."""
        return self._inner.images_folder()

    def source(self) -> Path:
        """The file in which DVC says what it tracks."""
        return self._folder / f"{DATA_NAME}{DVC_FOLDER}"

    def _keep(self, path: Path, relpath: str) -> _Tracked:
        """Put a copy into the cache: with a hard link an edit of the data would change both."""
        with path.open("rb") as file:
            md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        target = self._object(md5)
        if not target.exists():
            shutil.copyfile(path, target)
            target.chmod(_READ_ONLY)
        return _Tracked(relpath, md5, path.stat().st_size)

    def _object(self, md5: str, ending: str = "") -> Path:
        folder = self._folder / DVC_FOLDER / "cache" / CACHE_LAYOUT / md5[:2]
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{md5[2:]}{ending}"
