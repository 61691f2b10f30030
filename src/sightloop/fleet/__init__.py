"""Devices and what they should run: enrolment, check-ins, assignments, rollouts, update repository.

Devices pull; nothing here ever opens a connection to one. The online key can only choose among
bundles that a model's owner signed. This room decides from what devices report about themselves,
never from what a model sees: that is monitoring's part.
"""

__all__ = [
    "agent_releases",
    "assignments",
    "check_ins",
    "device_details",
    "devices",
    "enrolment",
    "errors",
    "exporting",
    "gating_builds",
    "health",
    "overview",
    "publication",
    "removal",
    "removed_store",
    "revoking",
    "rollout",
    "rollout_moves",
    "rollout_overview",
    "rollout_status",
    "rollout_store",
    "rollouts",
    "rotation",
    "services",
    "store",
    "streams",
    "update_repository",
    "values",
]
