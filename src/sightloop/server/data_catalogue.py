"""The services of data sets by name: a command about data loads no other room's."""

from __future__ import annotations

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
from sightloop.kernel.workspace import Call, Workspace
from sightloop.server.operations import Nothing, Service


def list_branches(workspace: Workspace, call: Call, request: Nothing) -> list[Ref]:  # noqa: ARG001
    """Every branch and the commit it is at, by name."""
    return branches.list_branches(workspace, call)


def known_remotes(workspace: Workspace, call: Call, request: Nothing) -> list[KnownRemote]:  # noqa: ARG001
    """Every remote, by name."""
    return naming.known_remotes(workspace, call)


DATA_SERVICES: dict[str, Service] = {
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
}
