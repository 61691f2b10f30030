"""What every room stands on: identity, errors, time, files, blobs, database, events, steps, audit.

The kernel knows nothing of vision, models or devices. Devices use its light half (`actors`,
`clock`, `digests`, `errors`, `files`, `ids`), which needs the standard library and msgspec only;
importing this door loads neither half.
"""

__all__ = [
    "access",
    "actors",
    "audit",
    "blobs",
    "clock",
    "collector",
    "config",
    "database",
    "digests",
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
