"""What every room stands on: identity, errors, time, files, blobs, database, events, steps, audit.

The kernel knows nothing of vision, models or devices. Devices use its light half (`actors`,
`clock`, `digests`, `errors`, `files`, `ids`), and the tracking client these and `code_state` and
`environment`; they need the standard library and msgspec only. Importing this door loads nothing.
"""

__all__ = [
    "access",
    "actors",
    "audit",
    "blobs",
    "clock",
    "code_state",
    "collector",
    "config",
    "database",
    "digests",
    "environment",
    "errors",
    "events",
    "files",
    "ids",
    "progress",
    "steps",
    "tokens",
    "worker",
    "workspace",
]
