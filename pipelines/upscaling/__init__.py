"""Enlarges pictures with Real-ESRGAN's networks, in plain torch."""
