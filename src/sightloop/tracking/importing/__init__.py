"""Runs that others recorded: TensorBoard's logs, MLflow's stores, folders of Ultralytics.

Sources are only read. Importing again adds what is new since, and says of everything that it left
out what and why.
"""

__all__ = [
    "account",
    "keeping",
    "logged_files",
    "marks",
    "mlflow",
    "mlflow_database",
    "mlflow_files",
    "naming",
    "services",
    "tensorboard",
    "ultralytics",
]
