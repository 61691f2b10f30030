"""What can go wrong with models and versions. Codes start with REG-."""

from __future__ import annotations

from collections.abc import Sequence

from sightloop.kernel.errors import BadInput, Conflict, Damaged, NotFound, Refused


class BadModelName(BadInput):
    """A model's name becomes a file name, a path pattern and a role in the update metadata."""

    code = "REG-001"

    def __init__(self, *, name: str) -> None:
        super().__init__(
            f"{name[:80]!r} cannot name a model; use up to 63 of a-z, 0-9, '_' and '-', "
            "beginning with a letter or digit",
            name=name[:80],
        )


class BadAliasName(BadInput):
    """An alias must be told apart from a version number wherever `model@...` is read."""

    code = "REG-002"

    def __init__(self, *, name: str) -> None:
        super().__init__(
            f"{name[:80]!r} cannot name an alias; use up to 63 of a-z, 0-9, '_' and '-', "
            "beginning with a letter",
            name=name[:80],
        )


class BadVersionReference(BadInput):
    """A text does not name a version of a model."""

    code = "REG-003"

    def __init__(self, *, text: str) -> None:
        super().__init__(
            f"{text[:120]!r} does not name a model version; write MODEL@NUMBER or MODEL@ALIAS, "
            "as in 'pcb@3' or 'pcb@champion'; `sightloop models list MODEL` lists the versions",
            text=text[:120],
        )


class RunNotPackable(Refused):
    """A run did not leave behind what a version needs."""

    code = "REG-010"

    def __init__(self, *, run: str, why: str) -> None:
        super().__init__(
            f"run {run} cannot become a model version: {why}; package a run that finished",
            run=run,
            why=why,
        )


class NothingUnseen(Refused):
    """Every image of the commit was trained on, so nothing honest can be said of the model."""

    code = "REG-011"

    def __init__(self, *, run: str, commit: str, splits: list[str]) -> None:
        super().__init__(
            f"run {run} cannot become a model version: commit {commit} has no image in the splits "
            f"{', '.join(splits)}; give the dataset a split rule that holds some back",
            run=run,
            commit=commit,
            splits=splits,
        )


class ClassesDiffer(Refused):
    """The exported file and the dataset commit do not mean the same classes."""

    code = "REG-012"

    def __init__(self, *, run: str, in_file: list[str], in_commit: list[str]) -> None:
        super().__init__(
            f"run {run} cannot become a model version: its file names the classes {in_file}, "
            f"its dataset commit {in_commit}; train again from this commit",
            run=run,
            in_file=in_file,
            in_commit=in_commit,
        )


class ForeignParity(Refused):
    """A run's parity answers name images that its dataset commit does not hold."""

    code = "REG-013"

    def __init__(self, *, run: str, commit: str, files: list[str]) -> None:
        super().__init__(
            f"parity.json of run {run} names {files[0]!r} ({len(files)} such), which commit "
            f"{commit} does not hold; the engine must name images as its view does",
            run=run,
            commit=commit,
            files=files,
        )


class NoDatasetCommit(Refused):
    """Of a version nobody recorded what it learned from, so no image is known to be unseen."""

    code = "REG-014"

    def __init__(self, *, version: str, run: str) -> None:
        super().__init__(
            f"{version} cannot be gated: run {run} was tracked without its dataset commit, so "
            "nobody knows which images it learned from; import the data set and package the run "
            f"again, `sightloop models package {run} --data BRANCH_OR_COMMIT`",
            version=version,
            run=run,
        )


class TrainingKnows(Refused):
    """What can be said of a tracked run is recorded of a training."""

    code = "REG-015"

    def __init__(self, *, run: str, given: list[str]) -> None:
        super().__init__(
            f"run {run} was trained by Sightloop, which recorded {', '.join(given)}; leave it out",
            run=run,
            given=given,
        )


class RunLacks(BadInput):
    """A tracked run does not say what a version needs, and neither did the request."""

    code = "REG-016"

    def __init__(self, *, run: str, lacks: str, option: str) -> None:
        super().__init__(
            f"run {run} cannot become a model version: {lacks}; say it with {option}",
            run=run,
            lacks=lacks,
            option=option,
        )


class NotReleasable(Refused):
    """The latest verdict on a version, or the lack of one, forbids what was asked."""

    code = "REG-020"

    def __init__(self, *, version: str, action: str, outcome: str, reasons: list[str]) -> None:
        if outcome == "none":
            why = "nobody has gated it; run `sightloop models gate`"
        else:
            why = f"its latest verdict is {outcome}: " + "; ".join(reasons)
        super().__init__(
            f"{version} cannot {action}: {why}",
            version=version,
            action=action,
            outcome=outcome,
            reasons=reasons,
        )


class AliasMoved(Conflict):
    """The alias no longer points where the caller believed."""

    code = "REG-021"

    def __init__(self, *, alias: str, expected: int | None, found: int | None) -> None:
        super().__init__(
            f"{alias} points at {_number(found)}, not at {_number(expected)}; "
            "look at what changed and repeat",
            alias=alias,
            expected=expected,
            found=found,
        )


class VersionRejected(Refused):
    """A person rejected the version; it does not go out."""

    code = "REG-022"

    def __init__(self, *, version: str, action: str, by: str, comment: str) -> None:
        super().__init__(
            f"{version} cannot {action}: {by} rejected it ({comment[:200]}); train another version",
            version=version,
            action=action,
            by=by,
            comment=comment,
        )


class DecidedAlready(Conflict):
    """A person decided about this version before, and otherwise; a decision stands."""

    code = "REG-023"

    def __init__(self, *, version: str, wanted: str, found: str, by: str, comment: str) -> None:
        super().__init__(
            f"{version} cannot be {_participle(wanted)}: {by} {_participle(found)} it "
            f"({comment[:200]}), and a decision stands; train another version",
            version=version,
            wanted=wanted,
            found=found,
            by=by,
            comment=comment,
        )


class SignedAlready(Refused):
    """The owner vouches for the version already; rejecting it now would recall nothing."""

    code = "REG-024"

    def __init__(self, *, version: str) -> None:
        super().__init__(
            f"{version} cannot be rejected: it is signed and devices may run it; stop its rollout "
            "with `sightloop rollout abort`",
            version=version,
        )


class BadComment(BadInput):
    """A decision needs a reason that others can read later."""

    code = "REG-025"

    def __init__(self, *, n_characters: int, most: int) -> None:
        problem = "is empty" if n_characters == 0 else f"has {n_characters:,} characters"
        super().__init__(
            f"the comment {problem}; say in 1 to {most:,} characters why you decided so",
            n_characters=n_characters,
            most=most,
        )


class NotComparable(Refused):
    """No stored evaluation says how the version does, or none of both is on the same images."""

    code = "REG-026"

    def __init__(self, *, version: str, rival: str | None) -> None:
        if rival is None:
            why = f"{version} has not been evaluated; `sightloop models evaluate {version}` does it"
        else:
            why = (
                f"{version} and {rival} were not evaluated on the same images; "
                "`sightloop models evaluate` each of them with the same --data"
            )
        super().__init__(why, version=version, rival=rival)


class OwnerKeyMissing(Refused):
    """The model has an owner key, but its private half is not on this host."""

    code = "REG-030"

    def __init__(self, *, model: str, key_id: str, path: str) -> None:
        super().__init__(
            f"the owner key {key_id} of {model} is not at {path}; sign where that key is kept, "
            "or restore the file",
            model=model,
            key_id=key_id,
            path=path,
        )


class OwnerKeyForeign(Refused):
    """The key file is not the key to which the update metadata delegates this model."""

    code = "REG-031"

    def __init__(self, *, model: str, expected: str, found: str, path: str) -> None:
        super().__init__(
            f"{path} holds key {found}, but {model} is owned by key {expected}; devices would "
            "refuse what this file signs - restore the owner's key",
            model=model,
            expected=expected,
            found=found,
            path=path,
        )


class KeyUnreadable(Damaged):
    """A key file is there but holds no private key this Sightloop can use."""

    code = "REG-040"

    def __init__(self, *, path: str, detail: str) -> None:
        super().__init__(
            f"{path} is not an unencrypted ECDSA P-256 private key in PEM ({detail}); "
            "restore it from a backup",
            path=path,
            detail=detail,
        )


class UpdateMetadataDamaged(Damaged):
    """A file of the update metadata is not what a signer wrote."""

    code = "REG-041"

    def __init__(self, *, path: str, detail: str) -> None:
        super().__init__(
            f"the update metadata file {path} cannot be used: {detail}; nothing was published - "
            "restore it from a backup, or remove it if it was never published",
            path=path,
            detail=detail,
        )


class VersionRevoked(Refused):
    """The model's owner took the version back; that is never undone."""

    code = "REG-045"

    def __init__(self, *, version: str, action: str, reason: str) -> None:
        super().__init__(
            f"{version} cannot {action}: its owner revoked it ({reason}); "
            "train and release another version",
            version=version,
            reason=reason,
        )


class NotSignedYet(Refused):
    """Nothing was given out that could be taken back."""

    code = "REG-046"

    def __init__(self, *, version: str) -> None:
        super().__init__(
            f"{version} was never signed, so no device has it; "
            "reject it instead: `sightloop models reject`",
            version=version,
        )


class BadRegisteredName(BadInput):
    """A registered model's name becomes part of addresses."""

    code = "REG-050"

    def __init__(self, *, name: str, most: int) -> None:
        super().__init__(
            f"{name[:80]!r} cannot name a registered model; use 1 to {most} characters without "
            "'/', ':' and '@'",
            name=name[:80],
        )


class ModelKnown(Conflict):
    """The name is taken."""

    code = "REG-051"

    def __init__(self, *, name: str) -> None:
        super().__init__(f"there is a registered model {name[:80]!r} already", name=name[:80])


class KeepsItsBundles(Refused):
    """What was packaged stays as it is, under its name: devices may run it."""

    code = "REG-052"

    def __init__(self, *, name: str, action: str) -> None:
        super().__init__(
            f"{name[:80]} cannot {action}: it has a bundle that Sightloop packaged, which stays; "
            "take its alias away instead",
            name=name[:80],
            action=action,
        )


class NothingToGate(Refused):
    """A protected alias takes only what passed its gate; without a bundle nothing can."""

    code = "REG-053"

    def __init__(self, *, version: str, alias: str) -> None:
        super().__init__(
            f"{version[:120]} cannot become {alias}: it was registered without a bundle, so no "
            "gate has judged it; package a run of Sightloop's, or take another alias",
            version=version[:120],
            alias=alias,
        )


class ProtectedAlias(Refused):
    """Devices follow this alias, so it always points at a version."""

    code = "REG-054"

    def __init__(self, *, model: str, alias: str) -> None:
        super().__init__(
            f"{alias} of {model[:80]} cannot be taken away: devices follow it; promote another "
            "version instead",
            model=model[:80],
            alias=alias,
        )


class AliasUnknown(NotFound):
    """The alias points nowhere."""

    code = "REG-055"

    def __init__(self, *, model: str, alias: str) -> None:
        super().__init__(what="alias", name=f"{model[:80]}@{alias[:80]}")


class BadSource(BadInput):
    """A version's files cannot be where the request says."""

    code = "REG-056"

    def __init__(self, *, source: str, problem: str) -> None:
        super().__init__(
            f"{source[:200]!r} cannot be the source of a version: {problem}",
            source=source[:200],
            problem=problem,
        )


class BadStage(BadInput):
    """There is no such stage, or not for this."""

    code = "REG-057"

    def __init__(self, *, stage: str, known: Sequence[str]) -> None:
        super().__init__(f"stage {stage[:40]!r} is none of {', '.join(known)}", stage=stage[:40])


def _participle(decision: str) -> str:
    return {"approve": "approved", "reject": "rejected"}[decision]


def _number(number: int | None) -> str:
    return "no version" if number is None else f"version {number}"
