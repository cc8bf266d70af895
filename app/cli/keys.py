"""`likely keys`: API keys at a terminal."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from app.database.database import Database
from app.database.tables import TITLE_LENGTH
from app.database.urls import open_migrated
from app.errors import BadInput
from app.settings import Settings
from app.web.auth import api_keys

commands = typer.Typer(help="API keys: who may ask, and for what.", no_args_is_help=True)


@commands.command()
def create(
    scope: Annotated[list[api_keys.Scope], typer.Option(help="what it may do, repeated; admin includes all")],
    label: Annotated[str, typer.Option(help="whose it is, or what for")],
    expires_days: Annotated[
        int | None, typer.Option(min=1, max=36_500, help="how long it is valid; for ever if left out")
    ] = None,
) -> None:
    """Make a key and print it: this once, for only its digest is kept."""
    if not 1 <= len(label) <= TITLE_LENGTH or not label.isprintable():
        raise BadInput(f"--label: expected 1 to {TITLE_LENGTH} printable characters")
    with _open().writing() as connection:
        text = api_keys.create_key(connection, label, set(scope), expires_days)
    typer.echo(text)


@commands.command(name="list")
def list_() -> None:
    """List all keys, the oldest first; none of them can be read from this."""
    from rich.table import Column, Table
    from rich.text import Text

    from app.cli.output import out

    table = Table(Column("key", no_wrap=True), "label", "scopes", "created", "expires", "state")
    with _open().reading() as connection:
        keys = api_keys.list_keys(connection)
    for key in keys:
        expires = "never" if key.expires_at is None else _day(key.expires_at)
        cells = (key.key, key.label, ", ".join(key.scopes), _day(key.created_at), expires, key.state)
        table.add_row(*(Text(cell) for cell in cells))  # a label's square brackets are no markup
    out.print(table)


@commands.command()
def revoke(key: Annotated[str, typer.Argument(help="its name, as `likely keys list` shows it")]) -> None:
    """Admit a key no more, from a second later on."""
    with _open().writing() as connection:
        name = api_keys.revoke_key(connection, key)
    typer.echo(f"{name} is revoked")


def _open() -> Database:
    settings = Settings()
    return open_migrated(settings.database_url, settings.busy_seconds)


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
