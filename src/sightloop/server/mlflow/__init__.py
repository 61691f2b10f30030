"""Sightloop as MLflow's clients see it: their routes, their words for things, their error codes.

Handlers read a request, call a service of a room, and write the answer in MLflow's shape. Nothing
is stored here, and nothing that the rooms refuse is allowed by it.
"""

__all__ = [
    "answers",
    "artifact_routes",
    "artifact_shapes",
    "endpoints",
    "experiments",
    "logged_models",
    "metrics",
    "model_versions",
    "registered_models",
    "registry_shapes",
    "requests",
    "routes",
    "runs",
    "shapes",
]
