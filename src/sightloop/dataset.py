"""`sightloop.open`: the datasets of a workspace in Python, with the verbs of `sightloop data`.

Every method is one call of one service, with the same meaning, results and errors as the command
of its name. Like `wiring.py`, this stands above the rooms; none of them imports it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from sightloop.dataset_sharing import Sharing
from sightloop.datasets.browsing import (
    MAX_PAGE,
    CommitStatistics,
    ListSamples,
    ShownSample,
    ShowSample,
    ShowStatistics,
    list_samples,
    show_sample,
    show_statistics,
)
from sightloop.datasets.commits import (
    CommitFacts,
    Committed,
    LogCommits,
    LoggedCommit,
    ShowCommit,
    log_commits,
    show_commit,
)
from sightloop.datasets.comparing import CommitDiff, DiffCommits, diff_commits
from sightloop.datasets.curation.duplicates import Duplicates, FindDuplicates, find_duplicates
from sightloop.datasets.curation.leaks import HELD_OUT, FindLeaks, Leaks, find_leaks
from sightloop.datasets.curation.marking import (
    REVIEW,
    MarkSamples,
    TagSamples,
    quarantine_samples,
    tag_samples,
)
from sightloop.datasets.curation.suspects import FindSuspects, Suspects, find_suspects
from sightloop.datasets.exporting import ExportDataset, Exported, export_dataset
from sightloop.datasets.importing import ImportDataset, Imported, import_dataset
from sightloop.datasets.splits import SplitRule
from sightloop.datasets.upkeep.account import Collected
from sightloop.datasets.upkeep.collecting import (
    DEFAULT_GRACE_S,
    CollectGarbage,
    collect_garbage,
)
from sightloop.datasets.upkeep.erasing import Erased, EraseData, erase_data
from sightloop.datasets.upkeep.flaws import Verified
from sightloop.datasets.upkeep.selecting import Wanted
from sightloop.datasets.upkeep.verifying import VerifyData, verify_data
from sightloop.datasets.values import Sample, SampleId
from sightloop.datasets.working_copies.checkout import CheckedOut, CheckoutCopy, checkout_copy
from sightloop.datasets.working_copies.committing import CommitCopy, CommittedCopy, commit_copy
from sightloop.datasets.working_copies.copies import is_in_copy
from sightloop.datasets.working_copies.showing import ShowStatus, show_status
from sightloop.datasets.working_copies.status import CopyStatus
from sightloop.kernel.actors import LOCAL
from sightloop.kernel.digests import parse_digest
from sightloop.kernel.errors import NotFound
from sightloop.kernel.progress import Progress, silent
from sightloop.kernel.workspace import Call, Workspace
from sightloop.wiring import create_workspace, open_workspace

AnyPath = str | os.PathLike[str]


def open_dataset(path: AnyPath = ".", *, create: bool = False) -> Dataset:
    """The datasets of the workspace in this folder; with `create`, one is made if there is none.

    Raises:
        NotFound: the folder is no workspace, and `create` is not set.
        ConfigError: its settings cannot be used.
        WorkspaceTooNew: a later Sightloop wrote its database.
    """
    root = Path(path)
    try:
        return Dataset(open_workspace(root))
    except NotFound:
        if not create:
            raise
        root.mkdir(parents=True, exist_ok=True)
        return Dataset(create_workspace(root))


class Dataset(Sharing):
    """Branches, commits and working copies of one workspace. May be shared by threads.

    >>> import tempfile, sightloop
    >>> with tempfile.TemporaryDirectory() as folder, sightloop.open(folder, create=True) as ds:
    ...     ds.branches()
    []
    """

    def __init__(self, workspace: Workspace, *, progress: Progress = silent) -> None:
        self.workspace = workspace
        self._call = Call(LOCAL, progress)

    @classmethod
    def clone(
        cls,
        url: str | Path,
        folder: AnyPath,
        *,
        ref: str = "main",
        endpoint: str = "",
        region: str = "",
        progress: Progress = silent,
    ) -> Dataset:
        """A workspace with a remote's data set, whose origin is the remote; may be repeated.

        See `datasets.remotes.pulling.pull` for what it raises.
        """
        root = Path(folder)
        root.mkdir(parents=True, exist_ok=True)
        cloned = cls(create_workspace(root), progress=progress)
        cloned.remote("origin", url, endpoint=endpoint, region=region)
        cloned.pull(ref)
        return cloned

    def __enter__(self) -> Self:
        """The dataset itself; it is closed when the block ends."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database; the object cannot be used afterwards."""
        self.workspace.db.close()

    def import_folder(
        self,
        source: AnyPath,
        *,
        format: str = "auto",  # noqa: A002 - the command's word
        images: AnyPath = "",
        branch: str = "main",
        message: str = "",
        split_key: str | None = None,
        slice_fields: Sequence[str] = (),
        split_rule: SplitRule | None = None,
        ignore_splits: bool = False,
        strict: bool = False,
    ) -> Imported:
        """Commit a data set in files; its folder is a working copy from then on.

        See `datasets.importing.import_dataset` for what it raises.
        """
        request = ImportDataset(
            source=_absolute(source),
            format=format,
            images=_absolute(images) if images else "",
            branch=branch,
            message=message,
            split_key=split_key,
            slice_fields=list(slice_fields),
            split_rule=split_rule,
            ignore_splits=ignore_splits,
            strict=strict,
        )
        return import_dataset(self.workspace, self._call, request)

    def status(self, folder: AnyPath = "") -> CopyStatus:
        """What a working copy's next commit would hold, and where its branch is.

        Args:
            folder: a working copy; left out, the one that the process stands in, or the only one.

        See `datasets.working_copies.showing.show_status` for what it raises.
        """
        request = ShowStatus(folder=self._copy(folder))
        return show_status(self.workspace, self._call, request)

    def commit(
        self,
        folder: AnyPath = "",
        *,
        message: str = "",
        branch: str = "",
        strict: bool = False,
    ) -> CommittedCopy:
        """Commit exactly what `status` shows.

        See `datasets.working_copies.committing.commit_copy` for what it raises.
        """
        request = CommitCopy(
            folder=self._copy(folder), message=message, branch=branch, strict=strict
        )
        return commit_copy(self.workspace, self._call, request)

    def checkout(
        self,
        ref: str,
        folder: AnyPath,
        *,
        format: str = "",  # noqa: A002 - the command's word
        class_name: str = "",
        split: str = "",
        slices: Sequence[str] = (),
        tag: str = "",
        lane: str = "",
        everything: bool = False,
        force: bool = False,
        link: bool = False,
    ) -> CheckedOut:
        """Make a folder the copy of a commit, or of the samples that a query fits.

        See `datasets.working_copies.checkout.checkout_copy` for what it raises.
        """
        request = CheckoutCopy(
            ref=ref,
            folder=_absolute(folder),
            format=format,
            class_name=class_name,
            split=split,
            slices=list(slices),
            tag=tag,
            lane=lane,
            everything=everything,
            force=force,
            link=link,
        )
        return checkout_copy(self.workspace, self._call, request)

    def export(
        self,
        ref: str,
        folder: AnyPath,
        *,
        format: str = "coco",  # noqa: A002 - the command's word
    ) -> Exported:
        """Write a commit into a new folder; see `datasets.exporting.export_dataset`."""
        request = ExportDataset(ref=ref, folder=_absolute(folder), format=format)
        return export_dataset(self.workspace, self._call, request)

    def log(self, ref: str = "main", *, limit: int = 50) -> list[LoggedCommit]:
        """The commit and those before it, newest first; see `datasets.commits.log_commits`."""
        return log_commits(self.workspace, self._call, LogCommits(ref=ref, limit=limit))

    def show(self, ref: str = "main") -> CommitFacts:
        """A commit, counted; see `datasets.commits.show_commit`."""
        return show_commit(self.workspace, self._call, ShowCommit(ref=ref))

    def statistics(self, ref: str = "main") -> CommitStatistics:
        """Class balance, box sizes, slices; see `datasets.browsing.show_statistics`."""
        return show_statistics(self.workspace, self._call, ShowStatistics(ref=ref))

    def diff(
        self, before: str, after: str, *, kind: str = "", beyond: str = "", limit: int = 20
    ) -> CommitDiff:
        """What became of samples and annotations; see `datasets.comparing.diff_commits`."""
        request = DiffCommits(
            before=before,
            after=after,
            kind=kind,
            beyond=SampleId(beyond) if beyond else None,
            limit=limit,
        )
        return diff_commits(self.workspace, self._call, request)

    def samples(
        self,
        ref: str = "main",
        *,
        class_name: str = "",
        size: str = "",
        slices: Sequence[str] = (),
        split: str = "",
        lane: str = "",
        tag: str = "",
        without_boxes: bool = False,
    ) -> Iterator[Sample]:
        """The samples to which everything that is given applies, in order of their ids.

        They are read some at a time, all of the commit that `ref` names when the first is asked
        for. See `datasets.browsing.list_samples` for what it raises.
        """
        after: SampleId | None = None
        while True:
            request = ListSamples(
                ref=ref,
                class_name=class_name,
                size=size,
                slices=list(slices),
                split=split,
                lane=lane,
                tag=tag,
                without_boxes=without_boxes,
                after=after,
                limit=MAX_PAGE,
            )
            page = list_samples(self.workspace, self._call, request)
            yield from (one.sample for one in page.samples)
            if (after := page.next_after) is None:
                return
            ref = page.commit  # a branch may move on meanwhile

    def sample(self, sample: str, ref: str = "main") -> ShownSample:
        """One sample and the commits that changed it; see `datasets.browsing.show_sample`."""
        request = ShowSample(ref=ref, sample=SampleId(sample))
        return show_sample(self.workspace, self._call, request)

    def duplicates(
        self, ref: str = "main", *, kind: str = "", after: int = 0, limit: int = 20
    ) -> Duplicates:
        """Images that are there more than once, or look as if they were.

        See `datasets.curation.duplicates.find_duplicates` for what it raises.
        """
        request = FindDuplicates(ref=ref, kind=kind, after=after, limit=limit)
        return find_duplicates(self.workspace, self._call, request)

    def leaks(
        self,
        ref: str = "main",
        *,
        splits: Sequence[str] = HELD_OUT,
        after: int = 0,
        limit: int = 20,
    ) -> Leaks:
        """Held-out images that resemble training images; see `datasets.curation.leaks`."""
        request = FindLeaks(ref=ref, splits=splits, after=after, limit=limit)
        return find_leaks(self.workspace, self._call, request)

    def suspects(
        self,
        ref: str = "main",
        *,
        rule: str = "",
        copies: bool = False,
        after: int = 0,
        limit: int = 20,
    ) -> Suspects:
        """Labels that deserve a second look; see `datasets.curation.suspects.find_suspects`."""
        request = FindSuspects(ref=ref, rule=rule, copies=copies, after=after, limit=limit)
        return find_suspects(self.workspace, self._call, request)

    def mark(
        self,
        samples: Sequence[str],
        *,
        branch: str = "main",
        quarantine: bool = False,
        tag: str = REVIEW,
        message: str = "",
    ) -> Committed:
        """Tag samples, or take them out of their splits; see `datasets.curation.marking`."""
        ids = [SampleId(one) for one in samples]
        if quarantine:
            marked = MarkSamples(branch=branch, samples=ids, message=message)
            return quarantine_samples(self.workspace, self._call, marked)
        tagged = TagSamples(branch=branch, samples=ids, tag=tag, message=message)
        return tag_samples(self.workspace, self._call, tagged)

    def verify(self, ref: str = "", *, repair: str = "") -> Verified:
        """Hash all bytes again, and mend what is damaged from the remote `repair`, if one is named.

        See `datasets.upkeep.verifying.verify_data` for what it raises.
        """
        request = VerifyData(ref=ref, repair_from=repair)
        return verify_data(self.workspace, self._call, request)

    def gc(self, *, grace_s: float = DEFAULT_GRACE_S, dry_run: bool = False) -> Collected:
        """Free the disk of what nothing needs; see `datasets.upkeep.collecting.collect_garbage`."""
        request = CollectGarbage(grace_s=grace_s, is_dry_run=dry_run)
        return collect_garbage(self.workspace, self._call, request)

    def erase(
        self,
        *,
        samples: Sequence[str] = (),
        images: Sequence[str] = (),
        slices: Sequence[str] = (),
        tag: str = "",
        ref: str = "",
        reason: str,
        dry_run: bool = False,
    ) -> Erased:
        """Erase images from every version for good; it cannot be undone and asks nobody.

        See `datasets.upkeep.erasing.erase_data` for what it raises.
        """
        wanted = Wanted(
            samples=[SampleId(one) for one in samples],
            images=[parse_digest(one) for one in images],
            slices=list(slices),
            tag=tag,
            ref=ref,
        )
        request = EraseData(wanted=wanted, reason=reason, is_dry_run=dry_run)
        return erase_data(self.workspace, self._call, request)

    def image(self, sample: Sample) -> bytes:
        """The image as it came in, checked.

        Raises:
            BlobMissing: the store does not have it.
            BlobDamaged: its bytes have changed.
        """
        return self.workspace.blobs.read(sample.image)

    def _copy(self, folder: AnyPath) -> str:
        if os.fspath(folder):
            return _absolute(folder)
        here = str(Path.cwd())
        return here if is_in_copy(self.workspace.state, here) else ""


def _absolute(path: AnyPath) -> str:
    return str(Path(path).resolve())
