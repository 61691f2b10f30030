"""Cameras, films and folders: pictures the device fetches itself, and what was found in them.

Each source is read by a process of its own, because a camera that hangs inside a driver can only be
killed; the supervisor takes the newest picture when the model is free and asks the same front that
clients ask. Nothing here decodes on the event loop, and no address with a password in it is ever
logged, shown or sent.
"""

__all__ = [
    "capture",
    "capture_process",
    "declared",
    "films",
    "folders",
    "ledger",
    "mailbox",
    "messages",
    "metrics",
    "page",
    "pictures",
    "result_lines",
    "results",
    "source",
    "sources",
    "status",
    "taken",
]
