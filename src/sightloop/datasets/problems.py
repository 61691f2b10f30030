"""What an importer has to say about records it could not take, or took with a change."""

from __future__ import annotations

from typing import Literal

import msgspec

ProblemKind = Literal[
    "wrong_shape",
    "duplicate_id",
    "unknown_image",
    "unknown_category",
    "missing_split_key",
    "outside_folder",
    "symlink",
    "missing_file",
    "unreadable_image",
    "size_mismatch",
    "same_image_twice",
    "impossible_box",
    "unsupported_shape",
    "two_splits",
    "not_fetched",
    "damaged_file",
    "disagreement",
    "not_listed",
    "bad_name",
    "unreadable_labels",
    "erased",
]
"""Why a record cannot be imported."""

NoteKind = Literal[
    "clipped_box",
    "turned_boxes",
    "field_left_out",
    "shape_left_out",
    "same_image_twice",
    "other_name",
    "counted_from_zero",
    "merged_outlines",
    "not_labelled",
    "other_labels",
    "file_left_out",
    "misnamed_file",
    "format_told",
    "missing_slice",
]
"""What was done to a record that was imported."""

RecordId = int | str


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something worth saying about one record of a data set."""

    text: str
    """What is the matter, with the values."""
    file: str = ""
    """The image's file name, as the data set gives it."""
    image_id: RecordId | None = None
    annotation_id: RecordId | None = None
    at: str = ""
    """Where it stands in the data set's files, such as `labels/a.txt:3`."""

    def __str__(self) -> str:
        ids = [
            f"{what} {record_id}"
            for what, record_id in (("image", self.image_id), ("annotation", self.annotation_id))
            if record_id is not None and record_id != self.file  # which is said already
        ]
        where = " ".join(part for part in (self.file, f"({', '.join(ids)})" if ids else "") if part)
        said = f"{where}: {self.text}" if where else self.text
        return f"{self.at}: {said}" if self.at else said


class Problem(Finding, frozen=True, kw_only=True, omit_defaults=True):
    """A record that cannot be imported."""

    kind: ProblemKind


class Note(Finding, frozen=True, kw_only=True, omit_defaults=True):
    """A record that was imported, but not exactly as it stands."""

    kind: NoteKind
