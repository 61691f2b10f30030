"""The services that can be called by name, one line each. Importing it loads every room."""

from __future__ import annotations

import threading

import msgspec

from sightloop.datasets import (
    branches,
    browsing,
    classes,
    commits,
    comparing,
    exporting,
    importing,
    merging,
    resolving,
    tags,
)
from sightloop.datasets.curation import duplicates, leaks, marking, suspects
from sightloop.datasets.remotes import fetching, naming, pulling, pushing
from sightloop.datasets.remotes.naming import KnownRemote
from sightloop.datasets.store import Ref
from sightloop.datasets.upkeep import collecting, erasing, verifying
from sightloop.datasets.working_copies import checkout, showing
from sightloop.datasets.working_copies import committing as committing_copies
from sightloop.evaluation import services as evaluation
from sightloop.fleet import (
    device_details,
    devices,
    enrolment,
    overview,
    rollout_overview,
    rollout_status,
    rollouts,
    streams,
)
from sightloop.kernel import access
from sightloop.kernel.worker import StepControl
from sightloop.kernel.workspace import Call, Workspace
from sightloop.loop import (
    evidence,
    incident_story,
    lineage,
    notifying,
    policy_editing,
    previewing,
)
from sightloop.loop import services as loop
from sightloop.monitoring import incidents
from sightloop.monitoring import listing as monitor_listing
from sightloop.registry import aliases, approvals, catalogue, comparison, gating, packaging, signing
from sightloop.review import (
    claiming,
    committing,
    exchange,
    flagging,
    images,
    labelling,
    listing,
    queue,
    second_opinions,
)
from sightloop.review.committing import CommittedLabels
from sightloop.server import checkup, facts, keyring, stations
from sightloop.server.operations import Service
from sightloop.tracking import files as run_files
from sightloop.tracking import receiving
from sightloop.tracking import services as tracking
from sightloop.tracking.values import Run
from sightloop.training import logs as run_logs
from sightloop.training import services as training
from sightloop.training.requests import TrainRequest


class Nothing(msgspec.Struct, frozen=True):
    """A request without any field."""


class Done(msgspec.Struct, frozen=True):
    """The answer of services that only do."""

    done: bool = True


class CommittedOrNot(msgspec.Struct, frozen=True, kw_only=True):
    """What was committed; None when no task had labels to commit."""

    committed: CommittedLabels | None


def list_branches(workspace: Workspace, call: Call, request: Nothing) -> list[Ref]:  # noqa: ARG001
    """Every branch and the commit it is at, by name."""
    return branches.list_branches(workspace, call)


def known_remotes(workspace: Workspace, call: Call, request: Nothing) -> list[KnownRemote]:  # noqa: ARG001
    """Every remote, by name."""
    return naming.known_remotes(workspace, call)


def train_now(workspace: Workspace, call: Call, request: TrainRequest) -> Run:
    """Train, and answer when the run has ended; the job survives the caller."""
    control = StepControl(threading.Event(), progress=call.progress)
    return training.train(workspace, call, request, control=control)


def cancel_run(workspace: Workspace, call: Call, request: training.CancelRun) -> Done:
    """Whoever watches the run's job ends it within seconds."""
    training.cancel_run(workspace, call, request)
    return Done()


def skip_task(workspace: Workspace, call: Call, request: labelling.SkipTask) -> Done:
    """The task needs no labels."""
    labelling.skip_task(workspace, call, request)
    return Done()


def withdraw_tasks(workspace: Workspace, call: Call, request: flagging.WithdrawTasks) -> Done:
    """Take back tasks that have no labels yet."""
    flagging.withdraw_tasks(workspace, call, request)
    return Done()


def commit_labels(
    workspace: Workspace, call: Call, request: committing.CommitLabels
) -> CommittedOrNot:
    """Verified labels become one dataset commit."""
    return CommittedOrNot(committed=committing.commit_labels(workspace, call, request))


SERVICES: dict[str, Service] = {
    "access.invite": access.invite_person,
    "access.list": access.list_people,
    "access.revoke": access.revoke_access,
    "access.role": access.change_role,
    "audit.verify": loop.verify_audit_log,
    "data.branch": branches.create_branch,
    "data.branch_delete": branches.delete_branch,
    "data.branch_rename": branches.rename_branch,
    "data.branches": list_branches,
    "data.checkout": checkout.checkout_copy,
    "data.classes": classes.list_classes,
    "data.classes_edit": classes.edit_classes,
    "data.commit": commits.commit_samples,
    "data.commit_folder": committing_copies.commit_copy,
    "data.conflicts": resolving.list_conflicts,
    "data.diff": comparing.diff_commits,
    "data.duplicates": duplicates.find_duplicates,
    "data.erase": erasing.erase_data,
    "data.export": exporting.export_dataset,
    "data.fetch": fetching.fetch,
    "data.find": browsing.find_commit,
    "data.gc": collecting.collect_garbage,
    "data.heads": browsing.list_heads,
    "data.import": importing.import_dataset,
    "data.leaks": leaks.find_leaks,
    "data.lift": marking.lift_quarantine,
    "data.log": commits.log_commits,
    "data.merge": merging.merge_branch,
    "data.merge_abort": merging.abort_merge,
    "data.merge_continue": merging.continue_merge,
    "data.merges": resolving.list_open_merges,
    "data.pull": pulling.pull,
    "data.push": pushing.push,
    "data.quarantine": marking.quarantine_samples,
    "data.quarantine_leaks": marking.quarantine_leaks,
    "data.ref_log": branches.list_ref_moves,
    "data.remote_add": naming.add_remote,
    "data.remote_remove": naming.remove_remote,
    "data.remotes": known_remotes,
    "data.resolve": resolving.resolve_conflict,
    "data.retire": commits.retire_audits,
    "data.sample": browsing.show_sample,
    "data.samples": browsing.list_samples,
    "data.show": commits.show_commit,
    "data.stats": browsing.show_statistics,
    "data.status": showing.show_status,
    "data.suspects": suspects.find_suspects,
    "data.tag": tags.create_tag,
    "data.tag_delete": tags.delete_tag,
    "data.tag_samples": marking.tag_samples,
    "data.tags": tags.list_tags,
    "data.verify": verifying.verify_data,
    "devices.count": overview.count_fleet,
    "devices.details": device_details.show_details,
    "devices.enroll": enrolment.create_enrolment,
    "devices.list": devices.list_devices,
    "devices.names": overview.name_devices,
    "devices.page": overview.page_devices,
    "devices.show": devices.show_device,
    "events.latest": loop.latest_events,
    "events.list": loop.list_events,
    "keys.show": keyring.show_keys,
    "loop.pause": loop.pause_loop,
    "loop.retry": loop.try_again,
    "loop.run": loop.run_loop,
    "loop.status": loop.show_loop,
    "loop.turn": loop.show_turn,
    "models.approve": approvals.approve_version,
    "models.card": catalogue.show_card,
    "models.compare": comparison.compare_versions,
    "models.evaluate": evaluation.evaluate,
    "models.evaluations": evaluation.list_evaluations,
    "models.evidence": evidence.show_evidence,
    "models.gate": gating.gate_version,
    "models.lineage": lineage.show_lineage,
    "models.list": catalogue.list_models,
    "models.package": packaging.package_run,
    "models.promote": aliases.set_alias,
    "models.reject": approvals.reject_version,
    "models.serving": lineage.count_serving,
    "models.show": catalogue.show_version,
    "models.sign": signing.sign_version,
    "models.versions": catalogue.list_versions,
    "monitor.close": incidents.close_incident,
    "monitor.explain": incidents.explain_incident,
    "monitor.follow": incident_story.follow_incident,
    "monitor.incident_page": monitor_listing.page_incidents,
    "monitor.incidents": incidents.list_incidents,
    "monitor.page": monitor_listing.page_monitors,
    "monitor.promises": monitor_listing.list_promises,
    "monitor.status": incidents.list_monitors,
    "notify.add": notifying.add_destination,
    "notify.list": notifying.list_destinations,
    "notify.remove": notifying.remove_destination,
    "notify.test": notifying.try_destination,
    "policy.check": policy_editing.check_policy,
    "policy.preview": previewing.preview_policy,
    "policy.save": policy_editing.save_policy,
    "policy.show": policy_editing.show_policy,
    "review.claim": claiming.claim_task,
    "review.commit": commit_labels,
    "review.disagreements": second_opinions.list_disagreements,
    "review.export": exchange.export_tasks,
    "review.images": images.show_images,
    "review.import": exchange.import_labels,
    "review.list": listing.list_tasks,
    "review.opinion": second_opinions.give_opinion,
    "review.queue": queue.list_queue,
    "review.release": claiming.release_task,
    "review.show": listing.show_task,
    "review.skip": skip_task,
    "review.submit": labelling.submit_labels,
    "review.withdraw": withdraw_tasks,
    "rollout.abort": rollouts.abort_rollout,
    "rollout.list": rollout_status.list_rollouts,
    "rollout.page": rollout_overview.page_rollouts,
    "rollout.pause": rollouts.pause_rollout,
    "rollout.resume": rollouts.resume_rollout,
    "rollout.start": rollouts.start_rollout,
    "rollout.status": rollout_status.rollout_status,
    "rollout.watch": rollout_overview.watch_rollout,
    "runs.cancel": cancel_run,
    "runs.curves": tracking.show_curves,
    "runs.experiments": tracking.list_experiments,
    "runs.file": run_files.find_file,
    "runs.history": tracking.show_history,
    "runs.job": training.show_job,
    "runs.list": tracking.list_runs,
    "runs.log": run_logs.show_log,
    "runs.metrics": tracking.show_metrics,
    "runs.show": tracking.show_run,
    "stations.show": stations.show_stations,
    "streams.policy": streams.set_stream_policy,
    "tracking.begin": receiving.begin_tracking,
    "tracking.end": receiving.end_tracking,
    "tracking.log": receiving.take_batch,
    "train": train_now,
    "workspace.check": checkup.check_workspace,
    "workspace.show": facts.show_workspace,
}
