"""What devices sent: profiles, kept images, health and swaps, and the losses labels gave to images.

Every envelope is stored exactly once, whatever is re-sent and by however many requests at once.
The room keeps and hands out; it never judges what it keeps, that is `monitoring`, and it never
asks a device for anything beyond the image an envelope speaks of.
"""

__all__ = [
    "acceptance",
    "envelopes",
    "errors",
    "health",
    "images",
    "kept_images",
    "latency",
    "losses",
    "profiles",
    "services",
    "store",
    "swaps",
    "values",
]
