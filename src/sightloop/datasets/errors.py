"""What can go wrong with data, by what the caller can do about it; see `kernel.errors`."""

from __future__ import annotations

from collections.abc import Sequence

from sightloop.kernel.digests import Digest
from sightloop.kernel.errors import BadInput, Conflict, Damaged, NotFound, Refused


class EmptyBox(BadInput):
    """A box without area. Its source is wrong: fix it, do not retry."""

    code = "DATA-001"

    def __init__(self, *, corners_px: tuple[float, float, float, float]) -> None:
        super().__init__(
            f"box {corners_px} px has no area; corners are (x1, y1, x2, y2) with x1 < x2 and "
            "y1 < y2 - was it given as (x, y, width, height)?",
            corners_px=str(corners_px),
        )


class BadSplitRule(BadInput):
    """Fractions that cannot divide anything."""

    code = "DATA-002"

    def __init__(self, *, train: float, val: float, test: float) -> None:
        super().__init__(
            f"a split into train {train}, val {val}, test {test} is impossible; "
            "give three fractions of at least 0 that add up to 1",
            train=train,
            val=val,
            test=test,
        )


class BadSample(BadInput):
    """A sample that cannot stand in a commit."""

    code = "DATA-003"

    def __init__(self, *, sample: str, file_name: str, problem: str) -> None:
        super().__init__(
            f"sample {sample} ({file_name}) cannot be committed: {problem}; nothing was changed",
            sample=sample,
            file_name=file_name,
            problem=problem,
        )


class BadImport(BadInput):
    """A data set with records that cannot be imported; nothing of it was."""

    code = "DATA-004"
    N_LISTED = 20

    def __init__(self, *, source: str, problems: list[str]) -> None:
        listed = problems[: self.N_LISTED]
        rest = len(problems) - len(listed)
        lines = "".join(f"\n  {line}" for line in listed)
        super().__init__(
            f"{source} has {_count(len(problems), 'problem')}, nothing was imported:{lines}"
            + (f"\n  ... and {rest} more" if rest else "")
            + "\nfix the records, or import everything else without --strict",
            source=source,
            n_problems=len(problems),
            problems=listed,
        )


class NotCoco(BadInput):
    """The file as a whole is not a COCO detection file."""

    code = "DATA-005"

    def __init__(self, *, file: str, problem: str) -> None:
        super().__init__(
            f"{file} is not a COCO detection file: {problem}; it needs an object with the lists "
            "'images', 'annotations' and 'categories'",
            file=file,
            problem=problem,
        )


class BadFieldName(BadInput):
    """A field of images that cannot be a slice or a split key."""

    code = "DATA-006"

    def __init__(self, *, field: str) -> None:
        super().__init__(
            f"{field!r} cannot name a slice or split key; give a field's name without '='",
            field=field,
        )


class BadRefName(BadInput):
    """A name that no branch can have."""

    code = "DATA-007"

    def __init__(self, *, name: str) -> None:
        super().__init__(
            f"{name[:120]!r} cannot name a branch; use up to 100 letters, digits, '.', '_', '-' "
            "and '/', beginning with a letter or digit, and nothing that reads like a digest",
            name=name[:120],
        )


class AmbiguousRef(BadInput):
    """The beginning of a digest that several commits share."""

    code = "DATA-008"

    def __init__(self, *, text: str, commits: list[str]) -> None:
        super().__init__(
            f"{text!r} begins {len(commits)} commits ({', '.join(commits)}); give more digits",
            text=text,
            commits=commits,
        )


class BadRepeat(BadInput):
    """Training images cannot be shown that often."""

    code = "DATA-009"

    def __init__(self, *, stratum: str, repeat: int, limit: int) -> None:
        super().__init__(
            f"images of {stratum!r} cannot be shown {repeat} times per epoch; "
            f"give a number from 1 to {limit}",
            stratum=stratum,
            repeat=repeat,
            limit=limit,
        )


class NoSuchRef(NotFound):
    """Neither a branch, nor a tag, nor a commit."""

    code = "DATA-010"

    def __init__(self, *, name: str) -> None:
        super().__init__(
            what="branch, tag or commit", name=name, hint="`sightloop data branch` lists branches"
        )


class BadFilter(BadInput):
    """A filter with a value that no sample or change can have."""

    code = "DATA-011"

    def __init__(self, *, what: str, value: str, known: Sequence[str]) -> None:
        super().__init__(
            f"{value[:80]!r} is no {what}; one of: {', '.join(known)}",
            what=what,
            value=value[:80],
            known=list(known),
        )


class NoSuchSample(NotFound):
    """The commit does not hold this sample."""

    code = "DATA-012"

    def __init__(self, *, sample: str, commit: str) -> None:
        super().__init__(what="sample", name=sample[:80], hint=f"commit {commit} does not hold it")


class HeadMoved(Conflict):
    """Someone committed to the branch since its head was read; nothing visible changed."""

    code = "DATA-020"

    def __init__(self, *, branch: str, expected: str | None, found: str | None) -> None:
        super().__init__(
            f"branch {branch} is at {found or 'no commit'}, not at {expected or 'no commit'}; "
            "nothing was committed - read the head again and retry",
            branch=branch,
            expected=expected,
            found=found,
        )


class RefExists(Refused):
    """A new branch or tag must have a new name."""

    code = "DATA-021"

    def __init__(self, *, kind: str, name: str, commit: str) -> None:
        super().__init__(
            f"{kind} {name} exists and is at {commit}; choose another name",
            kind=kind,
            name=name,
            commit=commit,
        )


class SplitRuleDiffers(Refused):
    """Another rule would move images between training and test, and past evaluations with them."""

    code = "DATA-022"

    def __init__(self, *, branch: str, has: str, wanted: str) -> None:
        super().__init__(
            f"branch {branch} splits by {has}; {wanted} would move images between training and "
            "test - leave the rule out, or commit to a new branch",
            branch=branch,
            has=has,
            wanted=wanted,
        )


class NothingToCommit(Refused):
    """A first commit needs at least one sample."""

    code = "DATA-023"

    def __init__(self, *, branch: str) -> None:
        super().__init__(
            f"branch {branch} has no commit yet and the request adds no sample; add at least one",
            branch=branch,
        )


class FolderInUse(Refused):
    """Views and exports are written into a folder of their own."""

    code = "DATA-024"

    def __init__(self, *, folder: str) -> None:
        super().__init__(
            f"{folder} exists and is not an empty folder; choose another, or remove it",
            folder=folder,
        )


class ObjectMissing(Damaged):
    """A commit leads to an object that the database does not hold."""

    code = "DATA-030"

    def __init__(self, *, digest: Digest) -> None:
        super().__init__(
            f"dataset object {digest} is missing; restore the database from a backup",
            digest=digest,
        )


class ObjectDamaged(Damaged):
    """A stored object no longer has the bytes its name promises."""

    code = "DATA-031"

    def __init__(self, *, digest: Digest) -> None:
        super().__init__(
            f"dataset object {digest} no longer has the bytes of its name; it was left as it is - "
            "restore the database from a backup",
            digest=digest,
        )


class ViewChanged(Damaged):
    """Something wrote into a view: what was trained on is not what the commit holds."""

    code = "DATA-032"

    def __init__(self, *, folder: str, files: list[str], linked: bool) -> None:
        named = ", ".join(files[:20]) + (f" and {len(files) - 20} more" if len(files) > 20 else "")
        end = (
            "; they are hard links, so the stored images changed too - restore those from a backup"
            if linked
            else "; discard the run and train again"
        )
        super().__init__(
            f"files of the view {folder} were changed, removed or replaced: {named}{end}",
            folder=folder,
            files=files[:20],
            n_files=len(files),
            linked=linked,
        )


class ImageErased(Refused):
    """An image that was erased for good does not come back."""

    code = "DATA-060"

    def __init__(self, *, image: Digest, told: str) -> None:
        super().__init__(
            f"image {image} was {told}; nothing was committed - leave it out",
            image=image,
            told=told,
        )


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


class UnknownFormat(BadInput):
    """No reader or writer for these files."""

    code = "DATA-033"

    def __init__(self, *, path: str, name: str, known: Sequence[str]) -> None:
        names = ", ".join(known)
        what = (
            f"cannot tell the format of {path}; name it"
            if name == "auto"
            else f"there is no format {name!r}; take one"
        )
        super().__init__(f"{what} with --format: {names}", path=path, name=name, known=names)


class WrongFormat(BadInput):
    """A file or folder that as a whole is not of the format it is read as."""

    code = "DATA-085"

    def __init__(self, *, file: str, wanted: str, problem: str) -> None:
        super().__init__(
            f"{file} is not {wanted} as Sightloop reads it: {problem}",
            file=file,
            wanted=wanted,
            problem=problem,
        )


# Formats A: COCO, YOLO, archives.


class NotYolo(BadInput):
    """What is there as a whole is no YOLO data set."""

    code = "DATA-080"

    def __init__(self, *, file: str, problem: str) -> None:
        super().__init__(
            f"{file} is not a YOLO data set: {problem}; it needs a YAML with 'names' and splits "
            "that lead to images, or the folders images/ and labels/",
            file=file,
            problem=problem,
        )


class BadArchive(BadInput):
    """An archive that is not unpacked: damaged, too large, or with members that lead elsewhere."""

    code = "DATA-081"

    def __init__(self, *, file: str, problem: str) -> None:
        super().__init__(
            f"{file} was not unpacked: {problem}; nothing of it was imported - unpack it yourself "
            "if you trust it, and import the folder",
            file=file,
            problem=problem,
        )


class NotClassFolders(BadInput):
    """A folder without class folders of images."""

    code = "DATA-082"

    def __init__(self, *, folder: str) -> None:
        super().__init__(
            f"{folder} holds no class folders with images; it needs train/CLASS/IMAGE, or "
            "CLASS/IMAGE without splits",
            folder=folder,
        )


class NotNdjson(BadInput):
    """The file as a whole is not an Ultralytics NDJSON data set."""

    code = "DATA-083"

    def __init__(self, *, file: str, problem: str) -> None:
        super().__init__(
            f"{file} is not an Ultralytics NDJSON data set: {problem}; its first line is an object "
            'with "type": "dataset", each further one an object with "type": "image"',
            file=file,
            problem=problem,
        )
