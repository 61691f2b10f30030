"""Tracking beside MLflow's own server: `python -m bench.tracking`."""
