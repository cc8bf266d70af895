"""`likely backup`, `likely restore`, `likely verify`: the database as a file. Does not know how."""

from pathlib import Path
from typing import Annotated

import typer

from app.database import parse_url
from app.errors import NotFound
from app.logs import configure_logs
from app.settings import Settings
from app.sqlite import find_path


def backup(
    file: Annotated[Path, typer.Argument(help="where to write it; must not be there yet")],
) -> None:
    """Write the database to a file, also while the service runs."""
    from app.backups import back_up
    from app.terminal import out

    report = back_up(_database(), file)
    out.print(f"wrote {file}: {file.stat().st_size:,} bytes", markup=False, soft_wrap=True)
    out.print(f"verified: {report.summary}", markup=False, soft_wrap=True)


def restore(
    file: Annotated[Path, typer.Argument(help="what `likely backup` wrote")],
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="in the place of the database that is there")
    ] = False,
) -> None:
    """Bring a backup back as the database; the service must not run."""
    from app import backups
    from app.terminal import out

    target = _database()
    report = backups.restore(file, target, replace=replace)
    out.print(f"restored {target} from {file}", markup=False, soft_wrap=True)
    out.print(f"verified: {report.summary}", markup=False, soft_wrap=True)


def verify(
    file: Annotated[Path | None, typer.Argument(help="a backup; the database if none is named")] = None,
) -> None:
    """Look for faults in the database or in a backup; exit status 1 if there are any."""
    from app.terminal import out
    from app.verification import verify_file

    path = file or _database()
    if not path.is_file():
        raise NotFound(f"there is no file {path}")
    report = verify_file(path)
    for line in report.checked:
        out.print(f"checked {line}", markup=False, soft_wrap=True)
    for line in report.faults:
        out.print(f"fault: {line}", markup=False, soft_wrap=True)
    out.print(
        f"{path} has {len(report.faults) or 'no'} fault{'' if len(report.faults) == 1 else 's'}",
        markup=False,
        soft_wrap=True,
    )
    if report.faults:
        raise typer.Exit(1)


def _database() -> Path:
    settings = Settings()
    configure_logs("error")
    return find_path(parse_url(settings.database_url))
