"""`likely copy`: from one database to another. Does not know how."""

from typing import Annotated

import typer

from app.database.database import Database, check_exists
from app.settings import Settings


def copy(
    from_url: Annotated[str, typer.Argument(help="the database that is there, such as sqlite:///likely.db")],
    to_url: Annotated[str, typer.Argument(help="an empty one, such as postgresql://user@host/likely")],
) -> None:
    """Copy everything to another database and compare it; stop the service first.

    Both are brought up to this version's tables.
    """
    from app.cli.printing import out, progress_bar
    from app.operations.copying import copy_database, count_rows

    busy_seconds = Settings().busy_seconds
    check_exists(from_url)
    source, target = (Database.migrated(url, busy_seconds) for url in (from_url, to_url))
    with progress_bar() as progress:
        task = progress.add_task("copying", total=2 * count_rows(source))
        copied = copy_database(
            source, target, lambda what, rows: progress.update(task, description=what, advance=rows)
        )
    for one in copied:
        out.print(f"{one.table}: {one.rows:,} rows, sha256 {one.digest}", markup=False, soft_wrap=True)
    names = [database.url.render_as_string() for database in (source, target)]
    out.print(f"{names[1]} has all of {names[0]}", markup=False, soft_wrap=True)
    source.close()
    target.close()
