"""Reading, checking and saving `loop.yaml` through Sightloop, so that every change is on record.

Anybody may read the policy; who runs the loop may check and preview another one. Saving takes an
admin: the loop signs and releases in its own name by these rules, so whoever may write them may
release without the approver's token, and could lower the gate first.
"""

from __future__ import annotations

import difflib

import msgspec

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.digests import Digest, digest_of
from sightloop.kernel.events import Event, EventKind, latest, tell
from sightloop.kernel.files import write_atomic
from sightloop.kernel.workspace import Call, Workspace
from sightloop.loop.errors import BadPolicy, PolicyMoved
from sightloop.loop.policy import Policy, parse_policy
from sightloop.loop.policy_file import (
    POLICY_NAME,
    policy_path,
    policy_text,
    read_policy_bytes,
)
from sightloop.loop.policy_places import too_much

POLICY_CHANGED = EventKind("policy.changed")
NO_FILE = ""
"""Instead of a digest: there is no `loop.yaml`."""
MAX_DIFF_CHARS = 8_000
"""A longer diff stands in a blob of its own, and the event names it."""


class ShowPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The policy as it is."""


class PolicyText(msgspec.Struct, frozen=True, kw_only=True):
    """`loop.yaml` as it is now."""

    path: str
    text: str
    digest: str
    """Of the file; an edit says which one it began from."""
    problem: str
    """Why the loop cannot use it; `""` when it can."""
    models: list[str]
    changed: Event | None
    """When it was saved here last, and by whom."""
    is_as_saved: bool
    """Whether the file is what was saved here last; else somebody edited it on disk."""


class CheckPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A text that might become the policy."""

    text: str


class CheckedPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A text the loop could use, and how it differs from the file."""

    models: list[str]
    diff: str


class SavePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Let this text be the policy, if the file still has the digest the edit began from."""

    text: str
    expected: str
    reason: str = ""


def show_policy(workspace: Workspace, call: Call, request: ShowPolicy) -> PolicyText:  # noqa: ARG001
    """The file, whether it can be used, and who saved it last."""
    require(call.actor, Permission.READ)
    path = str(policy_path(workspace))
    content = read_policy_bytes(workspace)  # once: the digest must be that of the text
    problem, text = "", ""
    try:
        text = policy_text(content or b"", where=path)
        policy = Policy() if content is None else _parsed(text, where=path)
    except BadPolicy as error:
        policy, problem = Policy(), error.message
    digest = NO_FILE if content is None else digest_of(content)
    with workspace.db.read() as tx:
        saved = [
            event
            for event in latest(tx, limit=1, subject=POLICY_NAME)
            if event.kind == POLICY_CHANGED
        ]
    return PolicyText(
        path=path,
        text=text,
        digest=digest,
        problem=problem,
        models=sorted(policy.models),
        changed=saved[0] if saved else None,
        is_as_saved=not saved or saved[0].data["after"] == digest,
    )


def check_policy(workspace: Workspace, call: Call, request: CheckPolicy) -> CheckedPolicy:
    """The text as the loop would understand it; nothing is changed.

    Raises:
        BadPolicy: it would not; names the place.
    """
    require(call.actor, Permission.RUN_LOOP)
    policy = parsed_proposal(request.text)
    return CheckedPolicy(
        models=sorted(policy.models), diff=policy_diff(_present(workspace), _tidy(request.text))
    )


def save_policy(workspace: Workspace, call: Call, request: SavePolicy) -> PolicyText:
    """The text is the policy from now on, and the audit log has what changed; no change is no
    event.

    Raises:
        BadPolicy: the loop could not use it.
        PolicyMoved: the file is not the one the edit began from.
    """
    require(call.actor, Permission.ADMINISTER)
    policy = parsed_proposal(request.text)
    content = _tidy(request.text).encode()
    after = workspace.blobs.put(content)  # the whole text of every policy that was saved stays
    now_ms = workspace.clock.now_ms()
    # One after another, so that two savers cannot both be first; a long diff is stored inside.
    with workspace.blobs.protected(), workspace.db.write() as tx:
        before = _file_digest(workspace)
        if before != request.expected:
            path = str(policy_path(workspace))
            raise PolicyMoved(path=path, expected=request.expected, found=before)
        if before != after:
            data = {
                "before": before,
                "after": after,
                "models": sorted(policy.models),
                "reason": request.reason[:500],
                **_recorded(workspace, policy_diff(_present(workspace), content.decode())),
            }
            tell(tx, POLICY_CHANGED, POLICY_NAME, by=call.actor, at_ms=now_ms, data=data)
            # Before the commit: a crash in between leaves a file that the next reader finds to
            # differ from what was saved last, and never an event of a change that was not made.
            write_atomic(policy_path(workspace), content)
    return show_policy(workspace, call, ShowPolicy())


def parsed_proposal(text: str) -> Policy:
    """The policy in a text that somebody sent.

    Raises:
        BadPolicy: it is none, or unfolds to far more than a policy.
    """
    return _parsed(_tidy(text), where=POLICY_NAME)


def policy_diff(before: str, after: str) -> str:
    r"""What changes, line by line.

    >>> print(policy_diff("a: 1\n", "a: 2\n"))
    --- loop.yaml
    +++ proposed
    @@ -1 +1 @@
    -a: 1
    +a: 2
    """
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), POLICY_NAME, "proposed", lineterm="", n=2
    )
    return "\n".join(lines)


def _parsed(text: str, *, where: str) -> Policy:
    if problem := too_much(text):
        raise BadPolicy(where=where, problem=problem)
    return parse_policy(text or "{}", where=where)


def _present(workspace: Workspace) -> str:
    """The file's text, to be compared with; a file that is no text differs in every line."""
    try:
        return policy_path(workspace).read_bytes().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _file_digest(workspace: Workspace) -> str:
    content = read_policy_bytes(workspace)
    return NO_FILE if content is None else digest_of(content)


def _recorded(workspace: Workspace, diff: str) -> dict[str, str]:
    if len(diff) <= MAX_DIFF_CHARS:
        return {"diff": diff}
    blob: Digest = workspace.blobs.put(diff.encode())
    return {"diff": diff[:MAX_DIFF_CHARS], "diff_blob": blob}


def _tidy(text: str) -> str:
    """With the line ends that files have; browsers send others."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
    return lines + "\n" if lines.strip() else ""
