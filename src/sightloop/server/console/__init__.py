"""The console: what people see in the browser, one page group per file.

A handler finds out who looks (`session`), calls services, and renders a template (`rendering`). It
never decides who may do what: the services do, and their refusals become pages (`rendering` again).
Nothing here needs the network or a build step; scripts and styles are files in `static/`.
"""

__all__ = [
    "assets",
    "formats",
    "live",
    "loop_pages",
    "notify_pages",
    "people_pages",
    "pictures",
    "policy_pages",
    "rendering",
    "router",
    "session",
    "settings_pages",
    "words",
]
