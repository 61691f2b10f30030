"""The loop: the only room that knows all stations, because it closes the circle.

It takes events from its inbox, decides by the rules of `loop.yaml` what is due, and asks for
steps; the steps call the services any user can call. It holds no data of its own but the turns,
and it never does work inside an event.
"""

__all__ = [
    "destinations",
    "errors",
    "evidence",
    "handlers",
    "incident_story",
    "lineage",
    "notifying",
    "policy",
    "policy_editing",
    "preview",
    "previewing",
    "reactions",
    "rules",
    "services",
    "ticks",
    "turns",
]
