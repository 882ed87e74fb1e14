"""Secrets in files that only their owner reads."""

import os
import secrets
from pathlib import Path


def create_secret(path: Path, text: str) -> None:
    """Write a secret into a new file of mode 0600; a file that is there already stays as it is.

    Two processes that do this at once agree on one secret: whoever links the file first wins.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
