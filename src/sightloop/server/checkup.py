"""What `sightloop doctor` and the settings page look at. It reads, and repairs nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import msgspec

from sightloop.fleet.update_repository import repository_keys, role_expiries
from sightloop.kernel import audit, steps
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.errors import SightloopError
from sightloop.kernel.steps import StepState
from sightloop.kernel.workspace import Call, Workspace
from sightloop.loop.policy_file import read_policy
from sightloop.registry import store as registry
from sightloop.registry.keys import key_facts, owner_key_name
from sightloop.training.engines import known_engines

MAX_STEPS = 100
LITTLE_DISK_BYTES = 2 << 30
SOON_MS = 7 * 86_400_000


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One check and what it found."""

    name: str
    is_well: bool
    finding: str


Check = Callable[[Workspace], Iterator[Finding]]


class CheckWorkspace(msgspec.Struct, frozen=True, kw_only=True):
    """Look at everything; the audit log, which takes longest, only when asked."""

    verifies_audit_log: bool = True


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What every check found."""

    findings: list[Finding]


def check_workspace(workspace: Workspace, call: Call, request: CheckWorkspace) -> Findings:
    """Every check; one that fails to look is itself a finding.

    Raises:
        NotAllowed: the actor may not read.
    """
    require(call.actor, Permission.READ)
    findings: list[Finding] = []
    for name, check in _CHECKS.items():
        if check is _audit_log and not request.verifies_audit_log:
            continue
        try:
            findings += check(workspace)
        except SightloopError as error:
            findings.append(
                Finding(name=name, is_well=False, finding=f"{error.code} {error.message}")
            )
    return Findings(findings=findings)


def _database(workspace: Workspace) -> Iterator[Finding]:
    workspace.db.check()
    yield Finding(name="database", is_well=True, finding=workspace.db.shown_url)


def _audit_log(workspace: Workspace) -> Iterator[Finding]:
    with workspace.db.read() as tx:
        n_events, seal = audit.verify(tx), audit.latest(tx)
    newest = "nothing sealed yet" if seal is None else f"newest seal {seal.number} {seal.seal}"
    yield Finding(name="audit log", is_well=True, finding=f"{n_events} events hold; {newest}")


def _policy(workspace: Workspace) -> Iterator[Finding]:
    models = ", ".join(read_policy(workspace).models)
    text = f"looks after {models}" if models else "names no model: nothing retrains on its own"
    yield Finding(name="loop.yaml", is_well=True, finding=text)


def _keys(workspace: Workspace) -> Iterator[Finding]:
    with workspace.db.read() as tx:
        owners = [owner_key_name(model) for model in registry.owner_keys(tx)]
    here = [fact.name for fact in key_facts(workspace, owners) if fact.is_here]
    roots = [fact.name for fact in repository_keys(workspace) if fact.is_here]
    if here:
        text = f"{', '.join(here)} on this host: whoever takes the server can sign models"
        yield Finding(name="owner keys", is_well=False, finding=text)
    else:
        yield Finding(name="owner keys", is_well=True, finding="none on this host")
    for role in ("root", "targets"):
        if role in roots:
            text = f"the {role} key is on this host; move it to where no network reaches"
            yield Finding(name=f"{role} key", is_well=False, finding=text)


def _expiries(workspace: Workspace) -> Iterator[Finding]:
    now_ms = workspace.clock.now_ms()
    for role in role_expiries(workspace):
        left_days = (role.expires_at_ms - now_ms) / 86_400_000
        is_well = role.expires_at_ms - now_ms > SOON_MS or role.role == "timestamp"
        yield Finding(
            name=f"update role {role.role}",
            is_well=is_well and left_days > 0,
            finding=f"expires in {left_days:.0f} days",
        )


def _steps(workspace: Workspace) -> Iterator[Finding]:
    with workspace.db.read() as tx:
        recent = steps.recent(tx, limit=MAX_STEPS)
    failed = [step for step in recent if step.state is StepState.FAILED]
    for step in failed:
        last_line = (step.error or "").strip().splitlines()[-1:]
        text = f"{step.key} failed: {''.join(last_line)}; `sightloop loop retry` tries again"
        yield Finding(name="step", is_well=False, finding=text)
    if not failed:
        yield Finding(name="steps", is_well=True, finding="none has failed")


def _engines(_workspace: Workspace) -> Iterator[Finding]:
    engines = known_engines(_workspace.config.training)
    names = ", ".join(sorted(engines))
    text = names or "none; install sightloop-ultralytics to train YOLO26"
    yield Finding(name="engines", is_well=bool(engines), finding=text)


def _disk(workspace: Workspace) -> Iterator[Finding]:
    free_bytes = shutil.disk_usage(workspace.state).free
    text = f"{free_bytes / (1 << 30):.1f} GiB free at {workspace.state}"
    yield Finding(name="disk", is_well=free_bytes > LITTLE_DISK_BYTES, finding=text)


_CHECKS: dict[str, Check] = {
    "database": _database,
    "audit log": _audit_log,
    "loop.yaml": _policy,
    "keys": _keys,
    "update metadata": _expiries,
    "steps": _steps,
    "engines": _engines,
    "disk": _disk,
}
