"""Events in plain words: what happened, to what, and where to read on. Pure.

An event that has no words of its own is told by its kind, so nothing is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sightloop.kernel.errors import last_line
from sightloop.server.console.formats import clipped, share, short

Data = Mapping[str, Any]
TOPICS: Mapping[str, str] = {
    "access": "settings",
    "alias": "models",
    "branch": "datasets",
    "build": "models",
    "bundle": "models",
    "dataset": "datasets",
    "destination": "settings",
    "device": "fleet",
    "enrolment": "fleet",
    "incident": "incidents",
    "labels": "review",
    "merge": "datasets",
    "model": "models",
    "opinion": "review",
    "policy": "settings",
    "rollout": "fleet",
    "run": "runs",
    "slot": "fleet",
    "step": "loop",
    "stream": "fleet",
    "sweep": "runs",
    "tag": "datasets",
    "task": "review",
    "tasks": "review",
    "telemetry": "telemetry",
    "turn": "loop",
    "verdict": "models",
}
"""By the first word of an event's kind: which pieces of pages may have changed."""


class Told(NamedTuple):
    """A sentence, a place to read on (or ""), and whether it is good, bad or plain news."""

    text: str
    href: str = ""
    tone: str = ""


def topic_of(kind: str) -> str:
    """The topic an open page waits for.

    >>> topic_of("run.started"), topic_of("something.new")
    ('runs', 'loop')
    """
    return TOPICS.get(kind.partition(".")[0], "loop")


def tell_event(kind: str, subject: str, data: Data) -> Told:
    """The event as a sentence.

    >>> tell_event("verdict.given", "pcb@2", {"model": "pcb", "number": 2, "outcome": "pass"}).text
    'The gate said pass to pcb@2'
    >>> tell_event("something.new", "x_1", {}).text
    'something new: x_1'
    """
    words = _WORDS.get(kind)
    if words is None:
        return Told(f"{kind.replace('.', ' ')}: {short(subject)}")
    return words(subject, data)


def _version(data: Data) -> str:
    return f"{data['model']}@{data['number']}"


def _model_href(data: Data) -> str:
    return f"/models/{data['model']}/{data['number']}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _committed(_: str, data: Data) -> Told:
    changed = data["n_added"] + data["n_changed"] + data["n_removed"]
    what = "Merge" if data.get("merged") else "Commit"
    text = (
        f"{what} {short(data['commit'])} on {data['branch']}: {_count(changed, 'sample')} changed"
    )
    return Told(text, f"/datasets/{data['commit']}")


def _labels_committed(_: str, data: Data) -> Told:
    text = (
        f"Labels became commit {short(data['commit'])}: "
        f"{data['n_train']} to learn from, {data['n_audit']} to judge by"
    )
    return Told(text, f"/datasets/{data['commit']}")


def _labelled(subject: str, data: Data) -> Told:
    strata = ", ".join(s.partition("=")[2] for s in data["strata"] if s)
    what = f"{_count(data['n_boxes'], 'box').replace('boxs', 'boxes')}"
    return Told(f"An image of {strata or 'no slice'} was labelled: {what}", f"/review/{subject}")


def _incident(verb: str) -> Callable[[str, Data], Told]:
    def words(subject: str, data: Data) -> Told:
        text = f"{data['kind']} incident {verb} on {data['stream']}: {data['measure']}"
        if data.get("reason"):
            text += f" ({data['reason']})"
        return Told(text[0].upper() + text[1:], f"/incidents/{subject}", "bad" * (verb == "opened"))

    return words


def _turn(subject: str, data: Data) -> Told:
    tones = {"released": "good", "refused": "bad", "rolled back": "bad", "failed": "bad"}
    text = f"Turn of {data['model']}: {data['state']}"
    if data["state"] in tones:
        text += f" ({data['reason']})"
    return Told(text, f"/loop/{subject}", tones.get(data["state"], ""))


def _run(verb: str) -> Callable[[str, Data], Told]:
    def words(subject: str, data: Data) -> Told:
        text = f"Training of {data['experiment']} {verb}"
        if verb == "failed":
            text += f": {data['exit_reason']}"
        return Told(text, f"/runs/{subject}", "bad" * (verb == "failed"))

    return words


def _sweep(verb: str) -> Callable[[str, Data], Told]:
    def words(subject: str, data: Data) -> Told:
        text = f"Sweep {clipped(data['name'], 60)} {verb}"
        if "state" in data:
            text += f" {data['state']}: {clipped(data['reason'], 120)}"
        return Told(text, f"/sweeps/{subject}", "bad" * (data.get("state") == "failed"))

    return words


def _rollout(verb: str, tone: str = "") -> Callable[[str, Data], Told]:
    def words(subject: str, data: Data) -> Told:
        ring = f" after ring {data['ring']}" if data.get("ring") and verb == "goes on" else ""
        reason = f": {data['reason']}" if data.get("reason") else ""
        return Told(
            f"Rollout of {_version(data)} {verb}{ring}{reason}", f"/fleet/rollouts/{subject}", tone
        )

    return words


def _device(text: str, tone: str = "") -> Callable[[str, Data], Told]:
    def words(_: str, data: Data) -> Told:
        problem = f": {data['problem']}" if data.get("problem") else ""
        name = data.get("name") or short(data["device"])
        return Told(
            text.format(name=name, **{k: v for k, v in data.items() if k in ("slot", "stream")})
            + problem,
            f"/fleet/{data['device']}",
            tone,
        )

    return words


def _policy_changed(_: str, data: Data) -> Told:
    policy = data["policy"]
    text = f"Camera {data['stream']} now audits {share(policy['audit_rate'])} of its images"
    if policy["drift_rate"]:
        text += f" and keeps {share(policy['drift_rate'])} for drift"
    return Told(text, f"/fleet/{data['device']}")


def _granted(subject: str, data: Data) -> Told:
    article = "an" if data["role"][0] in "ae" else "a"
    return Told(f"{subject} was invited as {article} {data['role']}", "/settings/people")


_WORDS: Mapping[str, Callable[[str, Data], Told]] = {
    "access.changed": lambda s, d: Told(
        f"{s} is now {d['role']}, was {d['before']}", "/settings/people"
    ),
    "access.granted": _granted,
    "access.revoked": lambda s, d: Told(
        f"{s} may no longer come in: {_count(d['n_tokens'], 'token')} ended", "/settings/people"
    ),
    "alias.moved": lambda _, d: Told(f"{_version(d)} is now {d['alias']}", _model_href(d), "good"),
    "branch.created": lambda _, d: Told(
        f"Branch {d['branch']} begins at {short(d['commit'])}", f"/datasets/{d['commit']}"
    ),
    "branch.deleted": lambda _, d: Told(
        f"Branch {d['branch']} was taken away from {short(d['commit'])}",
        f"/datasets/{d['commit']}",
    ),
    "branch.renamed": lambda _, d: Told(
        f"Branch {d['before']} is now called {d['branch']}", f"/datasets/{d['commit']}"
    ),
    "build.judged": lambda _, d: Told(
        f"The gate said {d['outcome']} to {_version(d)} on {d['runtime']} with {d['precision']}",
        f"{_model_href(d)}#builds",
        "good" if d["outcome"] == "pass" else "bad" if d["outcome"] == "fail" else "",
    ),
    "bundle.evaluated": lambda _, d: Told(
        f"A model was measured on commit {short(d['commit'])}", f"/datasets/{d['commit']}"
    ),
    "dataset.committed": _committed,
    "destination.added": lambda s, d: Told(
        f"News goes to {s}: {', '.join(d['wants'])}", "/settings/notifications"
    ),
    "destination.removed": lambda s, _: Told(
        f"News no longer goes to {s}", "/settings/notifications"
    ),
    "device.enrolled": _device("Device {name} enrolled"),
    "device.silent": lambda s, d: Told(
        f"Device {d['name']} has not come by for {d['minutes']} min", f"/fleet/{s}", "bad"
    ),
    "enrolment.created": lambda _, d: Told(
        f"An enrolment token was made for ring {d['ring']}", "/fleet"
    ),
    "incident.closed": _incident("closed"),
    "incident.opened": _incident("opened"),
    "labels.committed": _labels_committed,
    "labels.verified": _labelled,
    "merge.aborted": lambda _, d: Told(
        f"The merge of {d['source']} into {d['branch']} was given up", "/datasets/merges"
    ),
    "merge.opened": lambda s, d: Told(
        f"Merging {d['source']} into {d['branch']} waits: "
        f"{_count(d['n_conflicts'], 'conflict')} to settle",
        f"/datasets/merges/{s}",
        "bad",
    ),
    "model.approved": lambda _, d: Told(
        f"{_version(d)} was approved: {clipped(d['comment'], 120)}", _model_href(d), "good"
    ),
    "model.reproduced": lambda _, d: Told(
        f"{_version(d)} was made again from its record: {d['verdict']}", _model_href(d)
    ),
    "model.packaged": lambda _, d: Told(f"{_version(d)} was packaged", _model_href(d)),
    "model.rejected": lambda _, d: Told(
        f"{_version(d)} was rejected: {clipped(d['comment'], 120)}", _model_href(d), "bad"
    ),
    "model.signed": lambda _, d: Told(f"{_version(d)} was signed", _model_href(d)),
    "opinion.given": lambda s, d: Told(
        f"A second opinion was given: {d['agreement']:.0%} agreement", f"/review/{s}"
    ),
    "policy.changed": lambda _, d: Told(
        "The policy was changed" + (f": {d['reason']}" if d["reason"] else ""), "/settings/policy"
    ),
    "rollout.aborted": _rollout("was stopped", "bad"),
    "rollout.advanced": _rollout("goes on"),
    "rollout.finished": _rollout("reached every ring", "good"),
    "rollout.paused": _rollout("was paused"),
    "rollout.resumed": _rollout("was resumed"),
    "rollout.rolled_back": _rollout("was rolled back", "bad"),
    "rollout.started": _rollout("began"),
    "run.cancel_asked": lambda s, _: Told(f"Run {short(s)} is to be cancelled", f"/runs/{s}"),
    "run.failed": _run("failed"),
    "run.finished": _run("finished"),
    "run.started": _run("began"),
    "slot.failed": _device("Slot {slot} of {name} failed", "bad"),
    "slot.switched": _device("Slot {slot} of {name} switched its model"),
    "step.failed": lambda _, d: Told(
        f"Step {d['step']} failed: {last_line(d['error'])}", "/", "bad"
    ),
    "stream.declared": _device("{name} declared camera {stream}"),
    "stream.policy_changed": _policy_changed,
    "sweep.ended": _sweep("is"),
    "sweep.resumed": _sweep("goes on"),
    "sweep.started": _sweep("began"),
    "sweep.trial_ended": lambda s, d: Told(
        f"Trial {d['number']} of {short(s)} is {d['state']}", f"/runs/{d['run']}"
    ),
    "tag.created": lambda _, d: Told(
        f"Tag {d['tag']} names commit {short(d['commit'])}", f"/datasets/{d['commit']}"
    ),
    "tag.deleted": lambda _, d: Told(
        f"Tag {d['tag']} was taken away from {short(d['commit'])}", f"/datasets/{d['commit']}"
    ),
    "task.skipped": lambda s, d: Told(f"A task was skipped: {d['reason']}", f"/review/{s}"),
    "tasks.flagged": lambda _, d: Told(
        f"{_count(len(d['tasks']), 'image')} flagged for labelling", f"/incidents/{d['incident']}"
    ),
    "tasks.opened": lambda _, d: Told(
        f"{_count(len(d['tasks']), 'task')} opened "
        + ("to measure the model" if d["purpose"] == "audit" else "to learn from"),
        "/review",
    ),
    "tasks.withdrawn": lambda _, d: Told(
        f"{_count(len(d['tasks']), 'task')} withdrawn: {d['reason']}", "/review"
    ),
    "telemetry.kept": lambda _, d: Told(
        f"{_count(len(d['kept']), 'image')} kept by {d.get('name') or short(d['device'])}",
        f"/fleet/{d['device']}",
    ),
    "turn.ended": _turn,
    "turn.moved": _turn,
    "turn.opened": _turn,
    "verdict.given": lambda _, d: Told(
        f"The gate said {d['outcome']} to {_version(d)}",
        _model_href(d),
        "good" if d["outcome"] == "pass" else "bad" if d["outcome"] == "fail" else "",
    ),
}
