"""Tests of the HTTP layer and of what knows Ray Serve."""
