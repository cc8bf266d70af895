"""Which database the tests run on: a SQLite file each, or a PostgreSQL database each, copied from a template.

``TEST_DATABASE=postgresql`` chooses PostgreSQL: the server that ``TEST_DATABASE_URL`` names, whose user may
make databases, or one that is started here for the session, from the programs that are installed.
"""

import atexit
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.pool import NullPool

from app.database.urls import open_migrated

POSTGRESQL = os.environ.get("TEST_DATABASE", "sqlite") == "postgresql"

_MISSING = (
    "the tests need PostgreSQL's programs initdb and postgres (on Debian: apt-get install postgresql), on "
    "the PATH or in /usr/lib/postgresql/*/bin, or a server that TEST_DATABASE_URL names"
)
_QUICK = ("fsync=off", "full_page_writes=off", "max_connections=300", "shared_buffers=64MB", "autovacuum=off")
_NOBODY = 65534


def url_for(folder: Path, name: str = "likely.db") -> str:
    """Return the URL of a database of the test's own; one folder and name lead to the same again."""
    if not POSTGRESQL:
        return f"sqlite:///{folder}/{name}"
    return _make(f"likely_{hashlib.sha256(f'{folder}/{name}'.encode()).hexdigest()[:16]}")


@cache
def _make(name: str) -> str:
    with _server().connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {_template()}")
    return _url(name)


@cache
def _template() -> str:
    """Make a database with the newest tables, which others are copied from."""
    name = f"likely_template_{os.getpid()}"
    with _server().connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    open_migrated(_url(name)).close()
    return name


def migrated_url(folder: Path) -> str:
    """Return the URL of a new database of the test's own that has the newest tables."""
    if not POSTGRESQL:
        shutil.copy(_template_file(), folder / "likely.db")
    return url_for(folder)


@cache
def _template_file() -> Path:
    """Make a SQLite file with the newest tables, which takes as long as many a test."""
    folder = Path(tempfile.mkdtemp(prefix="likely-template-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    open_migrated(url_for(folder)).close()
    return folder / "likely.db"


def empty_url(name: str) -> str:
    """Return the URL of a new PostgreSQL database without tables."""
    with _server().connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    return _url(name)


def _url(name: str) -> str:
    return _server().url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)


@cache
def _server() -> Engine:
    answer = os.environ.get("TEST_DATABASE_URL")
    url = make_url(answer) if answer else start_server(*_QUICK)
    return create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)


def start_server(*settings: str) -> URL:
    """Start a server for as long as this process lives, and return its URL; it listens at a socket only.

    ``settings`` are PostgreSQL's own, as NAME=VALUE.
    """
    programs = find_programs()
    folder = Path(tempfile.mkdtemp(prefix="likely-postgresql-"))
    user = _NOBODY if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    if user is not None:
        os.chown(folder, user, user)
    data = folder / "data"
    initdb = f"initdb -D {data} -U likely -A trust -E UTF8 --locale=C -N"
    _run(programs, initdb, folder, user).wait()
    given = " ".join(f"-c {setting}" for setting in (*settings, f"unix_socket_directories={folder}"))
    server = _run(programs, f"postgres -D {data} -c listen_addresses= {given}", folder, user)

    def stop() -> None:
        server.send_signal(3)  # SIGQUIT: nothing of it is needed any more
        server.wait(10)
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    while subprocess.run([programs / "pg_isready", "-q", "-h", folder, "-t", "10"], check=False).returncode:
        if server.poll() is not None:
            raise RuntimeError((folder / "log").read_text())
        time.sleep(0.05)
    return make_url(f"postgresql+psycopg://likely@/postgres?host={folder}")


def _run(programs: Path, command: str, folder: Path, user: int | None) -> subprocess.Popen[bytes]:
    """Start one of the programs, as another user if one is given."""
    name, *arguments = command.split()
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [programs / name, *arguments],
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )


def find_programs() -> Path:
    """Return the folder of PostgreSQL's programs, the newest; raises `FileNotFoundError`."""
    on_path = shutil.which("initdb")
    result = [Path(on_path).resolve().parent] if on_path else []
    result += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -int(path.parent.name))
    for folder in result:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise FileNotFoundError(_MISSING)


def main() -> None:
    """Say so in a line where the programs are missing, as `make test` asks before it begins."""
    if os.environ.get("TEST_DATABASE_URL"):
        return
    try:
        find_programs()
    except FileNotFoundError as missing:
        sys.exit(str(missing))


if __name__ == "__main__":
    main()
