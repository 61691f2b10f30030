"""Which files of a working copy must be written and removed to make it another commit's. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sightloop.datasets.formats.file_names import FileNames, names_of
from sightloop.datasets.keys import object_key, sample_key
from sightloop.datasets.values import ClassId, Sample
from sightloop.datasets.working_copies.copies import CopyFacts, Tracked
from sightloop.datasets.working_copies.labels import labels_of
from sightloop.datasets.working_copies.layout import has_own_labels, label_path_of
from sightloop.kernel.digests import Digest, digest_of


class Wish(NamedTuple):
    """A file as it shall be."""

    digest: bytes
    """SHA-256 of its bytes, raw."""
    image: Digest | None
    """The blob that holds them; None of a label file."""
    content: bytes
    """The bytes of a label file; empty for an image."""
    sample: bytes
    """The sample that it is the image of; empty for a label file."""


class Plan(NamedTuple):
    """What is to be done to a folder; what neither names stays."""

    writes: dict[str, Wish]
    removals: list[str]
    n_samples: int
    """How many samples the copy has afterwards."""


class Turn(NamedTuple):
    """What becomes of the samples of a copy."""

    written: Sequence[Sample]
    """Samples that are new to the copy, or differ, as they shall be."""
    gone: Iterable[bytes]
    """Samples that leave it, as raw ids."""


def plan_turn(
    facts: CopyFacts, files: Mapping[str, Tracked], turn: Turn, names: Mapping[ClassId, str]
) -> Plan:
    """What the folder needs so that its samples are as the turn has them.

    An image stays under the path that it has, unless its name in the data set is another one; a
    path that another image has is not given away twice.
    """
    if not turn.written and not turn.gone:
        return Plan({}, [], _n_samples(files))
    paths: dict[bytes, list[str]] = {}
    for path, one in files.items():
        if one.sample:
            paths.setdefault(one.sample, []).append(path)
    plan = _Plan(facts, files, names)
    for gone in turn.gone:
        plan.remove(paths.pop(gone, []))
    new = []
    for sample in turn.written:
        key = sample_key(sample.id)
        here = paths.get(key)
        if here and _keeps_its_name(here[0].removeprefix(facts.images), sample):
            plan.label(here[0], sample)
        else:
            plan.remove(paths.pop(key, []))
            new.append(sample)
    if new:
        taken = (path.removeprefix(facts.images) for some in paths.values() for path in some)
        given = FileNames(taken, visible=True)
        for sample in new:
            path = facts.images + given.name_for(sample)
            paths[sample_key(sample.id)] = [path]
            plan.put(path, sample)
    removals = [path for path in plan.removals if path not in plan.writes]
    return Plan(plan.writes, removals, len(paths))


def plan_whole(files: Mapping[str, Tracked], wishes: Mapping[str, Wish]) -> Plan:
    """What the folder needs so that it holds these files and none that was tracked besides."""
    writes = {
        path: wish
        for path, wish in wishes.items()
        if (known := files.get(path)) is None
        or (known.digest, known.sample) != (wish.digest, wish.sample)
    }
    removals = [path for path in files if path not in wishes]
    return Plan(writes, removals, len({one.sample for one in wishes.values() if one.sample}))


class _Plan:
    def __init__(
        self, facts: CopyFacts, files: Mapping[str, Tracked], names: Mapping[ClassId, str]
    ) -> None:
        self.writes: dict[str, Wish] = {}
        self.removals: list[str] = []
        self._facts, self._files, self._names = facts, files, names

    def remove(self, images: Iterable[str]) -> None:
        """These images and their label files."""
        for path in images:
            self.removals.append(path)
            if has_own_labels(self._facts) and label_path_of(path) in self._files:
                self.removals.append(label_path_of(path))

    def put(self, path: str, sample: Sample) -> None:
        """The sample's image at that path, and its labels beside it."""
        self.writes[path] = Wish(object_key(sample.image), sample.image, b"", sample_key(sample.id))
        self.label(path, sample)

    def label(self, path: str, sample: Sample) -> None:
        """The label file of the image at that path."""
        if not has_own_labels(self._facts):
            return
        label_path = label_path_of(path)
        content = labels_of(sample, self._names)
        if content is not None:
            key = object_key(digest_of(content))
            self.writes[label_path] = Wish(key, None, content, b"")
        elif label_path in self._files:
            self.removals.append(label_path)


def _keeps_its_name(path: str, sample: Sample) -> bool:
    # Which of its names it got depends on what else was there first; any of them will do.
    return path in names_of(sample)


def _n_samples(files: Mapping[str, Tracked]) -> int:
    return len({one.sample for one in files.values() if one.sample})
