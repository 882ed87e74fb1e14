"""Everything that knows HTTP or Ray Serve."""
