"""AI Server's wire format: ``/api/{Operation}``."""
