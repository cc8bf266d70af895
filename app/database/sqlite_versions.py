"""Which versions of SQLite may have several processes writing one database.

Before 3.51.3 two connections that write and checkpoint at once can corrupt a WAL database
(https://www.sqlite.org/wal.html#walresetbug); 3.50.7 and 3.44.6 have the repair too, 3.52.0 was withdrawn.
Does not know which version runs.
"""

_FIXED = (3, 51, 3)
_FIXED_IN_BRANCH = {(3, 50): 7, (3, 44): 6}
_WITHDRAWN = {(3, 52, 0)}


def may_write_together(version: str) -> bool:
    """Return whether several processes may write with this version, such as ``3.53.4``."""
    major, minor, patch = (int(part) for part in version.split(".")[:3])
    repaired = _FIXED_IN_BRANCH.get((major, minor))
    fixed = (major, minor, patch) >= _FIXED or (repaired is not None and patch >= repaired)
    return fixed and (major, minor, patch) not in _WITHDRAWN
