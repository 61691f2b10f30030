"""The use cases of the fleet, gathered for their callers; each lives in the file of its topic."""

from __future__ import annotations

from sightloop.fleet.check_ins import check_in
from sightloop.fleet.device_details import show_details
from sightloop.fleet.devices import list_devices, show_device
from sightloop.fleet.enrolment import create_enrolment, enrol_device
from sightloop.fleet.overview import count_fleet, name_devices, page_devices
from sightloop.fleet.removal import remove_device
from sightloop.fleet.rollout_overview import page_rollouts, watch_rollout
from sightloop.fleet.rollout_status import list_rollouts, rollout_status
from sightloop.fleet.rollouts import (
    abort_rollout,
    advance_rollouts,
    pause_rollout,
    resume_rollout,
    start_rollout,
    start_rollout_step,
)
from sightloop.fleet.streams import set_stream_policy
from sightloop.fleet.update_repository import create_repository, publish

__all__ = [
    "abort_rollout",
    "advance_rollouts",
    "check_in",
    "count_fleet",
    "create_enrolment",
    "create_repository",
    "enrol_device",
    "list_devices",
    "list_rollouts",
    "name_devices",
    "page_devices",
    "page_rollouts",
    "pause_rollout",
    "publish",
    "remove_device",
    "resume_rollout",
    "rollout_status",
    "set_stream_policy",
    "show_details",
    "show_device",
    "start_rollout",
    "start_rollout_step",
    "watch_rollout",
]
