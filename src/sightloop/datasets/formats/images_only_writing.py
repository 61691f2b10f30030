"""Writing nothing but images: for whoever labels them elsewhere, or looks at them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from sightloop.datasets.formats.file_names import FileNames
from sightloop.datasets.formats.left_behind import left_behind
from sightloop.datasets.records import CommitRecord
from sightloop.datasets.truths import is_true
from sightloop.datasets.values import Sample


class ImagesWriter:
    """Gives every image its path; see `writers.Writer`."""

    n_annotations = 0

    def __init__(self, record: CommitRecord, folder: Path) -> None:
        self._taxonomy = record.taxonomy
        self._folder = folder
        self._names = FileNames()
        self.not_kept: Counter[str] = Counter()

    def add(self, sample: Sample) -> str:
        """Take the sample in; see `writers.Writer.add`."""
        self.not_kept["annotation"] += sum(is_true(one) for one in sample.annotations)
        name = self._names.name_for(sample)
        # Whoever imports the images again does not touch the labels that they have.
        keeps = {"partly labelled", "split by rule"}
        self.not_kept.update(left_behind(sample, self._taxonomy, file_name=name, keeps=keeps))
        return name

    def finish(self) -> None:
        """Nothing is left to write."""
        self.not_kept = +self.not_kept

    def images_folder(self) -> Path:
        """The folder."""
        return self._folder

    def source(self) -> Path:
        """The folder."""
        return self._folder
