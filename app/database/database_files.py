"""The database's files: for their owner only, and swapped as a whole.

SQLite gives the files beside the database (-wal, -shm) the mode that the database has. No file is opened here
that SQLite may have open: to close it would take SQLite's locks away. Does not know what is in them.
"""

import os
from pathlib import Path

import structlog

log = structlog.get_logger()

PRIVATE = 0o600
_OTHERS = 0o077


def keep_private(path: Path) -> None:
    """Make the database's file, empty, if there is none; take it from others if they may use it."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, PRIVATE))
    except FileExistsError:
        for file in (path, *beside(path)):
            _take_from_others(file)
    except OSError:
        pass  # SQLite says why it cannot be made


def find_inode(path: Path) -> int:
    """Return which file is there; 0 if there is none."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def beside(path: Path) -> list[Path]:
    """Return the files that SQLite keeps beside a database while it is open, or when it was killed."""
    return [path.with_name(path.name + end) for end in ("-wal", "-shm")]


def sync_folder(folder: Path) -> None:
    """Make names that came and went in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _take_from_others(file: Path) -> None:
    try:
        mode = file.stat().st_mode & 0o777
        if mode & _OTHERS:
            file.chmod(mode & ~_OTHERS)
            log.warning("others could use a file of the database, and cannot any more", file=file.name)
    except FileNotFoundError:
        pass
    except PermissionError:
        log.warning("others may use a file of the database, which belongs to somebody else", file=file.name)
