"""Key files for a first start; the caller decides whether it is one."""

from __future__ import annotations

from pathlib import Path

from jobservice.crypto.message_mac import create_message_key_file
from jobservice.crypto.root_key import create_root_key_file


def create_key_files(*, root_key_file: Path, message_key_file: Path) -> list[Path]:
    """Make the key files that are missing, each mode 0600, and return their paths.

    Not for a database that has tenants: under a new root key none of their values opens. Raises `ConfigurationError`.
    """
    created = []
    for path, create in ((root_key_file, create_root_key_file), (message_key_file, create_message_key_file)):
        try:
            create(path)
        except FileExistsError:
            continue
        created.append(path)
    return created
