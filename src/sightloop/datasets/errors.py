"""What can go wrong with data, by what the caller can do about it; see `kernel.errors`."""

from __future__ import annotations

from collections.abc import Sequence

from sightloop.kernel.digests import Digest, short
from sightloop.kernel.errors import BadInput, Conflict, Damaged, NotFound, Refused, Unavailable


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

    def __init__(self, *, source: str, problems: list[str], is_all: bool = False) -> None:
        """Word it; `is_all` says that nothing is left without the records with problems."""
        end = (
            "no image is left without them"
            if is_all
            else ("or import everything else without --strict")
        )
        listed = problems[: self.N_LISTED]
        rest = len(problems) - len(listed)
        lines = "".join(f"\n  {line}" for line in listed)
        super().__init__(
            f"{source} has {_count(len(problems), 'problem')}, nothing was imported:{lines}"
            + (f"\n  ... and {rest} more" if rest else "")
            + f"\nfix the records, {end}",
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

    def __init__(self, *, path: str, name: str, known: Sequence[str], unread: str = "") -> None:
        """Word it; `unread` is a file that seems to hold labels in a format nobody knows."""
        names = ", ".join(known)
        hint = (
            f"; {unread} looks like labels that no reader knows - `--format images` leaves it out "
            "and imports the images alone"
            if unread
            else ""
        )
        what = (
            f"cannot tell the format of {path}; name it"
            if name == "auto"
            else f"there is no format {name!r}; take one"
        )
        facts = {"unread": unread} if unread else {}
        text = f"{what} with --format: {names}{hint}"
        super().__init__(text, path=path, name=name, known=names, **facts)


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


class FarAway(BadInput):
    """A coordinate that lies on no image. Its source is wrong: fix it, do not retry."""

    code = "DATA-034"

    def __init__(self, *, coordinate_px: float, limit_px: float) -> None:
        super().__init__(
            f"coordinate {coordinate_px:g} px lies on no image; give one from -{limit_px:g} to "
            f"{limit_px:g} px, counted from the upper left corner",
            coordinate_px=f"{coordinate_px:g}",
            limit_px=limit_px,
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


# Remotes


class BadRemote(BadInput):
    """A remote cannot be called that, or cannot be at that address."""

    code = "DATA-050"

    def __init__(self, *, value: str, problem: str) -> None:
        super().__init__(
            f"{value!r} will not do: {problem}; give a name such as origin and a folder, "
            "s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://ACCOUNT/CONTAINER/PREFIX",
            value=value,
            problem=problem,
        )


class NoSuchRemote(NotFound):
    """No remote has that name."""

    code = "DATA-051"

    def __init__(self, *, name: str, known: Sequence[str]) -> None:
        hint = f"there is {', '.join(known)}" if known else "none was added"
        super().__init__(
            what="remote", name=name, hint=f"{hint}; add one with `sightloop data remote add`"
        )


class RemoteExists(Refused):
    """A remote of that name is at another address."""

    code = "DATA-052"

    def __init__(self, *, name: str, url: str) -> None:
        super().__init__(
            f"remote {name} exists and is {url}; choose another name, or remove it first",
            name=name,
            url=url,
        )


class RemoteUnavailable(Unavailable):
    """A remote does not answer, or answers with an error of its own, however often it is asked."""

    code = "DATA-053"

    def __init__(self, *, remote: str, problem: str) -> None:
        super().__init__(
            f"remote {remote}: {problem}; what was done so far stays - repeat the command later",
            remote=remote,
            problem=problem,
        )


class RemoteDenied(Refused):
    """A remote does not let these credentials do it."""

    code = "DATA-054"

    def __init__(self, *, remote: str, doing: str) -> None:
        super().__init__(
            f"remote {remote} does not allow {doing} with the credentials of this environment; "
            "set those that do (docs/formats/remote.md names the variables), or ask its owner",
            remote=remote,
            doing=doing,
        )


class RemoteUnfit(Refused):
    """A place that must not become a remote: writers could undo each other, or it is in use."""

    code = "DATA-055"

    def __init__(self, *, remote: str, problem: str) -> None:
        super().__init__(
            f"remote {remote} cannot hold a data set: {problem}; nothing was written there",
            remote=remote,
            problem=problem,
        )


class PushedMeanwhile(Conflict):
    """The remote's branch has commits that are not in ours."""

    code = "DATA-056"

    def __init__(self, *, remote: str, ref: str, at: Digest) -> None:
        super().__init__(
            f"{ref} of remote {remote} is at {short(at)}, which ours does not have: someone else "
            "pushed first; pull, then push",
            remote=remote,
            ref=ref,
            at=at,
        )


class MergeNeeded(Refused):
    """Both sides have commits that the other lacks; what the remote has is here now."""

    code = "DATA-057"

    def __init__(self, *, branch: str, tracking: str) -> None:
        super().__init__(
            f"branch {branch} and {tracking} both have commits of their own; merge needed: "
            f"`sightloop data merge {tracking}`",
            branch=branch,
            tracking=tracking,
        )


class RemoteDamaged(Damaged):
    """A remote's object is not what its name promises, or something it must have is gone."""

    code = "DATA-058"

    def __init__(self, *, remote: str, objects: Sequence[str], problem: str) -> None:
        named = ", ".join(objects[:5]) + (f" and {len(objects) - 5} more" if objects[5:] else "")
        super().__init__(
            f"remote {remote} is damaged: {named} {problem}; all else that was fetched is kept - "
            "restore it there, or push to it again from a workspace that has it",
            remote=remote,
            objects=list(objects[:50]),
            problem=problem,
        )


# Merges and classes


class SplitRulesDiffer(Refused):
    """A merge would have to move images of one side between training and test."""

    code = "DATA-040"

    def __init__(self, *, ours: str, theirs: str) -> None:
        super().__init__(
            f"our side splits by {ours}, theirs by {theirs}: a merge would move images between "
            "training and test; import the images of one side again, onto the other's branch",
            ours=ours,
            theirs=theirs,
        )


class TooManyConflicts(Refused):
    """More contradictions than anyone settles one by one."""

    code = "DATA-041"

    def __init__(self, *, n_conflicts: int, limit: int) -> None:
        super().__init__(
            f"the two sides contradict each other in {n_conflicts} places, more than the {limit} "
            "that can be settled one by one; nothing was changed - merge with --resolve ours or "
            "--resolve theirs, or merge smaller steps of the history",
            n_conflicts=n_conflicts,
            limit=limit,
        )


class UnresolvedConflicts(Refused):
    """A merge goes on when every conflict is settled."""

    code = "DATA-042"

    def __init__(self, *, merge: str, conflicts: list[int]) -> None:
        listed = ", ".join(str(one) for one in conflicts[:20])
        more = f" and {len(conflicts) - 20} more" if len(conflicts) > 20 else ""
        super().__init__(
            f"merge {merge} has {_count(len(conflicts), 'unresolved conflict')} "
            f"({listed}{more}); settle each with `sightloop data resolve`",
            merge=merge,
            conflicts=[str(one) for one in conflicts[:20]],
            n_conflicts=len(conflicts),
        )


class MergeOutdated(Conflict):
    """The branch has a commit that the open merge knows nothing of."""

    code = "DATA-043"

    def __init__(self, *, merge: str, branch: str, expected: str, found: str | None) -> None:
        super().__init__(
            f"branch {branch} has moved from {expected} to {found or 'nowhere: it is gone'} since "
            f"merge {merge} began; nothing was committed - merge again: conflicts that are still "
            "the same keep what was decided about them",
            merge=merge,
            branch=branch,
            expected=expected,
            found=found,
        )


class NoSuchMerge(NotFound):
    """No open merge has that id."""

    code = "DATA-044"

    def __init__(self, *, merge: str) -> None:
        super().__init__(
            what="open merge",
            name=merge[:80] or "(any)",
            hint="`sightloop data conflicts` lists open merges",
        )


class WhichMerge(BadInput):
    """Several merges are open, and the request names none."""

    code = "DATA-045"

    def __init__(self, *, merges: list[str]) -> None:
        super().__init__(
            f"{len(merges)} merges are open ({', '.join(merges[:20])}); name one",
            merges=merges[:20],
        )


class NoSuchConflict(NotFound):
    """The open merge has no conflict of that number."""

    code = "DATA-046"

    def __init__(self, *, merge: str, conflict: int) -> None:
        super().__init__(
            what="conflict",
            name=str(conflict),
            hint=f"`sightloop data conflicts` lists those of {merge}",
        )


class BadResolution(BadInput):
    """A conflict cannot be settled like this."""

    code = "DATA-047"

    def __init__(self, *, conflict: int, problem: str) -> None:
        super().__init__(
            f"conflict {conflict} cannot be settled like this: {problem}",
            conflict=conflict,
            problem=problem,
        )


class NoSuchAncestor(NotFound):
    """A history that does not reach back so far."""

    code = "DATA-048"

    def __init__(self, *, name: str, commit: str) -> None:
        super().__init__(
            what="ancestor", name=name[:120], hint=f"commit {commit} has no such parent"
        )


class TaxonomiesDiverge(Refused):
    """Both sides did something else to the same class."""

    code = "DATA-095"

    def __init__(self, *, class_id: str, ours: str, theirs: str) -> None:
        super().__init__(
            f"both sides changed what class {class_id} means: our side has a {ours}, theirs a "
            f"{theirs}; do to one side what was done to the other, then merge",
            class_id=class_id,
            ours=ours,
            theirs=theirs,
        )


class ClassNamesCollide(Refused):
    """Two classes cannot have one name."""

    code = "DATA-096"

    def __init__(self, *, name: str, classes: list[str]) -> None:
        super().__init__(
            f"classes {' and '.join(classes)} would both be called {name!r}; "
            "rename one of them first",
            name=name,
            classes=classes,
        )


class BadClassEdit(BadInput):
    """A change of classes that cannot be; nothing was changed."""

    code = "DATA-097"

    def __init__(self, *, problem: str) -> None:
        super().__init__(f"the classes cannot be changed like this: {problem}", problem=problem)


class ClassInUse(Refused):
    """A class is removed only when nothing is of it."""

    code = "DATA-098"

    def __init__(self, *, name: str, n_annotations: int) -> None:
        super().__init__(
            f"class {name!r} has {_count(n_annotations, 'annotation')}; merge it into another "
            "class (--merge), or delete or relabel them first",
            name=name,
            n_annotations=n_annotations,
        )


class NoSuchClass(NotFound):
    """The commit has no class of that name or id."""

    code = "DATA-099"

    def __init__(self, *, name: str, known: Sequence[str]) -> None:
        super().__init__(what="class", name=name[:120], hint=f"it has: {', '.join(known)}")
