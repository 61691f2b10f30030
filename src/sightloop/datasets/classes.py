"""Looking at the classes of a commit, and changing them on a branch, labels and all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from sightloop.datasets import tree
from sightloop.datasets.branches import resolve_ref
from sightloop.datasets.changes import Change
from sightloop.datasets.drafts import Target, commit_change
from sightloop.datasets.errors import ClassInUse, NoSuchRef
from sightloop.datasets.following import attribute_text, followed_sample
from sightloop.datasets.keys import object_key
from sightloop.datasets.records import CommitRecord
from sightloop.datasets.samples import load_commit
from sightloop.datasets.store import StoredNodes, read_rows
from sightloop.datasets.taxonomy_edits import (
    ClassEdit,
    RemoveClass,
    SplitClass,
    edited,
    named,
    touched_classes,
    without_split_class,
)
from sightloop.datasets.values import (
    AnnotationId,
    ClassId,
    Sample,
    SampleId,
    Taxonomy,
    decode_row,
)
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.progress import Progress
from sightloop.kernel.workspace import Call, Workspace

N_LISTED = 1_000
_ROWS_AT_ONCE = 5_000


class ListClasses(msgspec.Struct, frozen=True, kw_only=True):
    """A branch, tag, digest or the unique beginning of a digest."""

    ref: str = "main"


class Classes(msgspec.Struct, frozen=True, kw_only=True):
    """The classes of a commit and everything that was done to them."""

    commit: Digest
    taxonomy: Taxonomy


class EditClasses(msgspec.Struct, frozen=True, kw_only=True):
    """Something to do to the classes of a branch."""

    branch: str = "main"
    edit: ClassEdit
    message: str = ""
    """Without one, the commit says what was done."""


class LeftAnnotation(msgspec.Struct, frozen=True):
    """An annotation that a split has no class for."""

    sample: SampleId
    annotation: AnnotationId
    value: str | None
    """Of the attribute that the split goes by; None if the annotation lacks it."""


class EditedClasses(msgspec.Struct, frozen=True, kw_only=True):
    """The classes now, and what became of labels."""

    commit: Digest
    taxonomy: Taxonomy
    n_relabelled: int
    """Annotations with another class than before."""
    n_left: int
    """Of a split: annotations that kept their class."""
    left: list[LeftAnnotation]
    """The first `N_LISTED` of them."""


def list_classes(workspace: Workspace, call: Call, request: ListClasses) -> Classes:
    """The classes of a commit, in the order that gives them their index.

    Raises:
        NoSuchRef: nothing has that name.
        AmbiguousRef: several commits begin like this.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        commit = resolve_ref(tx, request.ref)
        return Classes(commit=commit, taxonomy=load_commit(tx, commit).taxonomy)


def edit_classes(workspace: Workspace, call: Call, request: EditClasses) -> EditedClasses:
    """Change the classes of a branch and relabel its samples, in one commit.

    Every row is read; only those that name a touched class are decoded and written.

    Raises:
        NoSuchRef: there is no such branch.
        NoSuchClass: the branch lacks one of the classes.
        ClassNamesCollide: two classes would have the same name.
        ClassInUse: a class to be removed has annotations.
        BadClassEdit: the edit cannot be.
        HeadMoved: others committed again and again meanwhile; nothing was changed.
    """
    require(call.actor, Permission.WRITE_DATA)
    works: list[_Work] = []

    def change_on(head: CommitRecord | None) -> Change:
        if head is None:
            raise NoSuchRef(name=request.branch)
        with workspace.db.read() as tx:
            work = _Work(head.taxonomy, request.edit)
            work.apply(_samples_of(tx, head, work.touched, call.progress))
        works.append(work)
        return Change(work.changed, work.taxonomy)

    target = Target(request.branch, request.message or _told(request.edit))
    draft = commit_change(workspace, call, target=target, change_on=change_on)
    work = works[-1]
    return EditedClasses(
        commit=draft.commit,
        taxonomy=work.taxonomy,
        n_relabelled=work.n_relabelled,
        n_left=work.n_left,
        left=work.left,
    )


class _Work:
    """An edit of classes carried through samples."""

    def __init__(self, taxonomy: Taxonomy, edit: ClassEdit) -> None:
        self._before, self._edit = taxonomy, edit
        self.taxonomy = edited(taxonomy, edit)
        self.touched = touched_classes(taxonomy, edit)
        self.changed: list[Sample] = []
        self.n_relabelled = 0
        self.n_left = 0
        self.left: list[LeftAnnotation] = []

    def apply(self, samples: Iterator[Sample]) -> None:
        """Relabel the samples that name a touched class."""
        touched = list(samples)
        for sample in touched:
            self._count(sample)
        if isinstance(self._edit, RemoveClass) and self.n_left:
            name = named(self._before, self._edit.name).name
            raise ClassInUse(name=name, n_annotations=self.n_left)
        if isinstance(self._edit, SplitClass) and not self.n_left:
            self.taxonomy = without_split_class(self.taxonomy)
        change = self.taxonomy.changes[-1:]
        for sample in touched:
            followed = followed_sample(sample, change)
            if followed is not sample:
                self.changed.append(followed)
                self.n_relabelled += sum(
                    one.class_id != other.class_id
                    for one, other in zip(sample.annotations, followed.annotations, strict=True)
                )

    def _count(self, sample: Sample) -> None:
        """Note annotations that stay of a touched class."""
        if not isinstance(self._edit, SplitClass | RemoveClass):
            return
        for one in followed_sample(sample, self.taxonomy.changes[-1:]).annotations:
            if one.class_id in self.touched:
                self.n_left += 1
                if isinstance(self._edit, SplitClass) and len(self.left) < N_LISTED:
                    value = one.attributes.get(self._edit.attribute)
                    text = None if value is None else attribute_text(value)
                    self.left.append(LeftAnnotation(sample.id, one.id, text))


def _samples_of(
    tx: Tx, head: CommitRecord, classes: Sequence[ClassId], progress: Progress
) -> Iterator[Sample]:
    """Samples that name one of the classes, in an annotation or in what they are labelled for."""
    if not classes:
        return
    # As JSON has it: looking for the text spares decoding most rows.
    needles = [msgspec.json.encode(one) for one in classes]
    rows = list(tree.entries(StoredNodes(tx), head.root))
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        progress("relabelling samples", start, len(rows))
        keys = [object_key(row) for _, row in rows[start : start + _ROWS_AT_ONCE]]
        content = read_rows(tx, keys)
        for key in keys:
            row = content.get(key, b"")  # nothing is left of one that was erased
            if any(needle in row for needle in needles):
                sample = decode_row(row)
                if names_any(sample, classes):
                    yield sample


def names_any(sample: Sample, classes: Sequence[ClassId]) -> bool:
    """Whether an annotation of the sample is of one of the classes, or a claim is about one."""
    return any(one in classes for one in sample.labelled_for) or any(
        one.class_id in classes for one in sample.annotations
    )


def _told(edit: ClassEdit) -> str:
    facts = msgspec.structs.asdict(edit)
    told = " ".join(
        ", ".join(value) if isinstance(value, list) else str(value) for value in facts.values()
    )
    return f"Classes: {edit.__struct_config__.tag} {told}"
