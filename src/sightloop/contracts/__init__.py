"""What crosses a process, with its version: bundle, job, check-in, assignment, profile, telemetry,
tracking.

Frozen values with a `format` field each, specified in `docs/formats/`. A reader ignores fields it
does not know and refuses a format it does not know. Importing this room loads msgspec and the
standard library, nothing else: it is what a device, an engine and a server have in common.
"""

__all__ = [
    "agent_release",
    "assignment",
    "builds",
    "bundle",
    "check_in",
    "decode",
    "gated_builds",
    "job",
    "job_lines",
    "numbers",
    "profile",
    "revocation",
    "shapes",
    "telemetry",
    "tracking",
    "update_folder",
]
