"""What happens to every request, as plain ASGI: wrapping classes of the framework would break streaming."""
