"""Everything that turns input into output: tasks, model families, transforms. No Ray, no HTTP server."""
