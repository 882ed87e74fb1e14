"""What outlives one request: artifacts, keys, scheduling within a replica, metrics. No HTTP server."""
