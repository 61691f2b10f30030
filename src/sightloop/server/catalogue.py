"""The services that can be called by name, one line each. Importing it loads every room."""

from __future__ import annotations

import threading

import msgspec

from sightloop.evaluation import services as evaluation
from sightloop.fleet import (
    agent_releases,
    device_details,
    devices,
    enrolment,
    gating_builds,
    overview,
    removal,
    revoking,
    rollout_overview,
    rollout_status,
    rollouts,
    rotation,
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
from sightloop.registry import (
    aliases,
    approvals,
    catalogue,
    comparison,
    foreign_catalogue,
    gating,
    of_runs,
    packaging,
    reproducing,
    signing,
)
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
from sightloop.server.data_catalogue import DATA_SERVICES
from sightloop.server.operations import Done, Service
from sightloop.tracking import bands, browsing, origins, receiving, relabelling
from sightloop.tracking import exporting as run_exports
from sightloop.tracking import files as run_files
from sightloop.tracking import services as tracking
from sightloop.tracking.importing import services as run_imports
from sightloop.tracking.values import Run
from sightloop.training import logs as run_logs
from sightloop.training import services as training
from sightloop.training.requests import TrainRequest
from sightloop.training.sweeps import services as sweeps


class CommittedOrNot(msgspec.Struct, frozen=True, kw_only=True):
    """What was committed; None when no task had labels to commit."""

    committed: CommittedLabels | None


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
    **DATA_SERVICES,
    "access.invite": access.invite_person,
    "access.list": access.list_people,
    "access.revoke": access.revoke_access,
    "access.role": access.change_role,
    "agents.assign": agent_releases.assign_agent,
    "agents.release": agent_releases.release_agent,
    "audit.verify": loop.verify_audit_log,
    "devices.count": overview.count_fleet,
    "devices.details": device_details.show_details,
    "devices.enroll": enrolment.create_enrolment,
    "devices.list": devices.list_devices,
    "devices.names": overview.name_devices,
    "devices.page": overview.page_devices,
    "devices.remove": removal.remove_device,
    "devices.show": devices.show_device,
    "events.latest": loop.latest_events,
    "events.list": loop.list_events,
    "keys.rotate": rotation.rotate_key,
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
    "models.gate_builds": gating_builds.gate_builds,
    "models.lineage": lineage.show_lineage,
    "models.list": catalogue.list_models,
    "models.package": packaging.package_run,
    "models.promote": aliases.set_alias,
    "models.registered": foreign_catalogue.show_registered,
    "models.reject": approvals.reject_version,
    "models.reproduce": reproducing.reproduce_version,
    "models.reproductions": reproducing.list_reproductions,
    "models.serving": lineage.count_serving,
    "models.revoke": revoking.revoke_version,
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
    "runs.bands": bands.show_bands,
    "runs.browse": browsing.browse_runs,
    "runs.cancel": cancel_run,
    "runs.curve-keys": bands.list_curves,
    "runs.curves": tracking.show_curves,
    "runs.delete": relabelling.delete_runs,
    "runs.experiments": tracking.list_experiments,
    "runs.export": run_exports.export_runs,
    "runs.file": run_files.find_file,
    "runs.history": tracking.show_history,
    "runs.import": run_imports.import_runs,
    "runs.job": training.show_job,
    "runs.keys": browsing.show_keys,
    "runs.list": tracking.list_runs,
    "runs.log": run_logs.show_log,
    "runs.metrics": tracking.show_metrics,
    "runs.origins": origins.show_origins,
    "runs.rename": relabelling.rename_run,
    "runs.restore": relabelling.restore_runs,
    "runs.show": tracking.show_run,
    "runs.tag": relabelling.tag_run,
    "runs.versions": of_runs.versions_of_run,
    "stations.show": stations.show_stations,
    "streams.policy": streams.set_stream_policy,
    "tracking.begin": receiving.begin_tracking,
    "tracking.end": receiving.end_tracking,
    "tracking.log": receiving.take_batch,
    "sweep.best": sweeps.find_best,
    "sweep.list": sweeps.list_sweeps,
    "sweep.resume": sweeps.resume_sweep,
    "sweep.show": sweeps.show_sweep,
    "sweep.start": sweeps.start_sweep,
    "sweep.stop": sweeps.stop_sweep,
    "train": train_now,
    "workspace.check": checkup.check_workspace,
    "workspace.show": facts.show_workspace,
}
