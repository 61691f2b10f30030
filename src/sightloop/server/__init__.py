"""The control plane over HTTP: every service by name, the device protocol, update files, pages.

Routes parse, call one service and render what it returns. They decide nothing: rights are asked
for in the services, and whatever a route can do, the command line can do on local files.
"""

__all__ = [
    "api",
    "app",
    "authentication",
    "callers",
    "catalogue",
    "charts",
    "checkup",
    "console",
    "context",
    "control",
    "data_catalogue",
    "device_routes",
    "errors",
    "facts",
    "incident_charts",
    "keyring",
    "operations",
    "presence",
    "rendering",
    "stations",
    "update_routes",
]
