"""Texts that come from engines, on their way into the database."""


def storable(text: str, limit: int) -> str:
    """Give a text that every database holds: no NUL, no half of a surrogate pair, not too long."""
    return text.replace("\0", "").encode(errors="replace").decode()[:limit]
