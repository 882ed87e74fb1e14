"""Pipelines whose engine is somebody's API, one file for each wire format. Asynchronous; they need no Ray."""
