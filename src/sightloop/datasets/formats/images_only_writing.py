"""Writing nothing but images: for whoever labels them elsewhere, or looks at them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from sightloop.datasets.formats.file_names import FileNames
from sightloop.datasets.records import CommitRecord
from sightloop.datasets.truths import is_true
from sightloop.datasets.values import Sample


class ImagesWriter:
    """Gives every image its path; see `writers.Writer`."""

    n_annotations = 0

    def __init__(self, record: CommitRecord, folder: Path) -> None:
        del record  # only formats with labels need the classes
        self._folder = folder
        self._names = FileNames()
        self.not_kept: Counter[str] = Counter()

    def add(self, sample: Sample) -> str:
        """Take the sample in; see `writers.Writer.add`."""
        self.not_kept["annotation"] += sum(is_true(one) for one in sample.annotations)
        self.not_kept["slices"] += bool(sample.slices)
        self.not_kept["split key"] += sample.split_key != sample.image
        return self._names.name_for(sample)

    def finish(self) -> None:
        """Nothing is left to write."""
        self.not_kept = +self.not_kept

    def images_folder(self) -> Path:
        """The folder."""
        return self._folder

    def source(self) -> Path:
        """The folder."""
        return self._folder
