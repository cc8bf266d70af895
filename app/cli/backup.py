"""`likely backup`, `likely restore`, `likely verify`: the database as a file.

PostgreSQL has programs of its own for what is a file with SQLite; to verify is to read, and works on both.
"""

from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import URL, inspect

from app.database.sqlite import find_path, read_file
from app.database.tables import ApiKey
from app.database.urls import check_exists, is_file, open_database, open_migrated, parse_url
from app.errors import Conflict, NotFound
from app.settings import Settings
from app.web.auth import api_keys


def backup(
    file: Annotated[Path, typer.Argument(help="where to write it; must not be there yet")],
) -> None:
    """Write the database to a file, also while the service runs."""
    from app.cli.output import print_line
    from app.operations.backups import back_up

    report = back_up(_find_file("write its files with pg_dump"), file)
    print_line(f"wrote {file}: {file.stat().st_size:,} bytes")
    print_line(f"verified: {report.summary}")


def restore(
    file: Annotated[Path, typer.Argument(help="what `likely backup` wrote")],
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="in the place of the database that is there")
    ] = False,
) -> None:
    """Bring a backup back as the database; the service must not run."""
    from app.cli.output import print_line
    from app.operations import backups

    target = _find_file("bring back what pg_dump wrote with pg_restore")
    report = backups.restore(file, target, replace=replace)
    print_line(f"restored {target} from {file}")
    print_line(f"verified: {report.summary}")
    print_line(_word_keys(target))


def _word_keys(database: Path) -> str:
    """Say whom a restored database admits: a backup knows nothing of what was made or revoked since."""
    with read_file(database) as connection:
        there = inspect(connection).has_table(ApiKey.__tablename__)  # not in one from before there were any
        rows = api_keys.list_keys(connection) if there else []
    if not rows:
        return "it has no API keys: on a loopback address it is served to whoever reaches that"
    valid = sum(key.state == "valid" for key in rows)
    summary = "1 API key is valid" if valid == 1 else f"{valid} API keys are valid"
    return f"{summary} in it, those revoked since the backup too; `likely keys` lists and revokes them"


def verify(
    file: Annotated[Path | None, typer.Argument(help="a backup; the database if none is named")] = None,
) -> None:
    """Look for faults in the database or in a backup; exit status 1 if there are any."""
    from app.cli.output import print_line
    from app.operations.verification import verify_database, verify_file

    url = _read_url()
    if file is None and not is_file(url):
        name = url.render_as_string(hide_password=True)
        report = verify_database(open_database(url.render_as_string(hide_password=False)))
    else:
        path = file or find_path(url)
        if not path.is_file():
            raise NotFound(f"there is no file {path}")
        name = str(path)
        report = verify_file(path)
    for line in report.checked:
        print_line(f"checked {line}")
    for line in report.faults:
        print_line(f"fault: {line}")
    print_line(f"{name} has {len(report.faults) or 'no'} fault{'' if len(report.faults) == 1 else 's'}")
    if report.faults:
        raise typer.Exit(1)


def _find_file(otherwise: str) -> Path:
    url = _read_url()
    if not is_file(url):
        raise Conflict(f"the database is in PostgreSQL, and this is for SQLite's files: {otherwise}")
    return find_path(url)


def _read_url() -> URL:
    settings = Settings()
    return parse_url(settings.database_url)


def copy(
    from_url: Annotated[str, typer.Argument(help="the database that is there, such as sqlite:///likely.db")],
    to_url: Annotated[str, typer.Argument(help="an empty one, such as postgresql://user@host/likely")],
) -> None:
    """Copy everything to another database and compare it; stop the service first.

    Both are brought up to this version's tables.
    """
    from app.cli.output import print_line, progress_bar
    from app.operations.copying import copy_database, count_rows

    busy_seconds = Settings().busy_seconds
    check_exists(from_url)
    source, target = (open_migrated(url, busy_seconds) for url in (from_url, to_url))
    with progress_bar() as progress:
        task = progress.add_task("copying", total=2 * count_rows(source))
        tables = copy_database(
            source, target, lambda table, rows: progress.update(task, description=table, advance=rows)
        )
    for table_result in tables:
        print_line(f"{table_result.table}: {table_result.rows:,} rows, sha256 {table_result.digest}")
    names = [database.url.render_as_string() for database in (source, target)]
    print_line(f"{names[1]} has all of {names[0]}")
    source.close()
    target.close()
