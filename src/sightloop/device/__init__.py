"""The agent: a program on the device that serves, swaps, spools and never stops answering.

One supervisor owns the listening socket and the HTTP front; models run in worker processes of
their own behind it, so that a swap or a crash is never seen by a client. The room knows the
contracts, `inference` and the light half of the kernel. It never opens a database, never imports
a training framework, and never runs a bundle whose bytes, signatures or golden images are wrong.
"""

__all__ = [
    "agent",
    "assignments",
    "backoff",
    "bodies",
    "buffers",
    "bundle_files",
    "bundle_store",
    "check_in",
    "download",
    "drop_order",
    "enrolment",
    "errors",
    "forwarder",
    "front",
    "golden",
    "health",
    "home",
    "image_request",
    "installer",
    "lanes",
    "listener",
    "log",
    "messages",
    "model_slot",
    "model_worker",
    "multipart",
    "oip",
    "oip_routes",
    "outbox",
    "page",
    "predict",
    "recorder",
    "repeating",
    "segments",
    "server_link",
    "settings",
    "spool",
    "state",
    "status",
    "trust",
    "version",
    "windows",
    "worker",
]
