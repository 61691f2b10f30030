"""The console: what people see in the browser, one page group per file.

A handler finds out who looks (`session`), calls services, and renders a template (`rendering`). It
never decides who may do what: the services do, and their refusals become pages (`rendering` again).
Nothing here needs the network or a build step; scripts and styles are files in `static/`.
"""

__all__ = [
    "assets",
    "dataset_addresses",
    "dataset_drawings",
    "dataset_pages",
    "event_lines",
    "fleet_pages",
    "formats",
    "incident_pages",
    "live",
    "loop_pages",
    "model_pages",
    "notify_pages",
    "paging",
    "people_pages",
    "pictures",
    "policy_pages",
    "rendering",
    "review_pages",
    "router",
    "run_pages",
    "session",
    "settings_pages",
    "sweep_drawings",
    "sweep_pages",
    "words",
]
