"""Runs and registered models in MLflow, the only room that imports it."""
