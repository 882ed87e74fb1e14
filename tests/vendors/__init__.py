"""Small HTTP servers that answer as the vendors document it, on their bad days too."""
