"""The command line: `likely serve`, and what a person does at a terminal.

Each error is one line. Commands work on the database that the settings name.
"""

import os
import secrets
import signal
import socket
import sys
import threading
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from app.cli.backup import backup, copy, restore, verify
from app.cli.keys import commands as keys
from app.cli.scores import CatalogOption, demo, scores
from app.cli.training import evaluate, train
from app.database.urls import open_database, open_migrated
from app.errors import DatabaseUnusableError, Problem
from app.observability.logs import configure_logs, redact
from app.observability.tracing import Tracing, TracingUnusableError, is_wanted, span
from app.processes.garbage_collection import gc_paused_then_frozen, use_single_malloc_arena
from app.settings import Settings
from app.training.ray.cluster import ClusterUnusableError, check_usable
from app.web.auth.api_keys import OpenToAllError, check_not_open

if TYPE_CHECKING:
    import uvicorn

cli = typer.Typer(
    help="Learns what each person likes and serves like-scores.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
imports = typer.Typer(help="Bring data in.", no_args_is_help=True)
cli.add_typer(imports, name="import")
cli.add_typer(keys, name="keys")
cli.command()(train)
cli.command()(evaluate)
cli.command()(backup)
cli.command()(restore)
cli.command()(verify)
cli.command()(copy)

_START_SECONDS = 30


def main() -> None:
    """Run a command; an error is one line on standard error and exit status 1, or 2 for a wrong command."""
    configure_logs("error")  # commands print what they have to say; those that run on say how they log
    try:
        sys.exit(cli(standalone_mode=False))
    except typer.TyperException as error:
        message = " ".join(error.format_message().split())
        _say(f"{message} `likely --help` lists the commands, and each has a --help of its own.")
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except ValidationError as error:
        prefix = "LIKELY_" if error.title == Settings.__name__ else ""
        for field_error in error.errors():
            name = ".".join(str(part) for part in field_error["loc"])
            message = field_error["msg"].removeprefix("Value error, ")
            _say(f"{(prefix + name).upper() if prefix else name}: {message}" if name else message)
    except Problem as error:
        _say(error.detail)
        for place in error.places[:10]:
            _say(f"  line {place.line}: {place.detail}" if place.line else f"  {place.detail}")
    except (ClusterUnusableError, DatabaseUnusableError, OpenToAllError, TracingUnusableError) as error:
        _say(str(error))
    except SQLAlchemyError as error:
        _say(f"the database cannot be used: {str(getattr(error, 'orig', error)).splitlines()[0]}")
    sys.exit(1)


def _say(line: str) -> None:
    typer.echo(redact(f"likely: {line}"), err=True)


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="address to listen on")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="port to listen on")] = None,
    web_processes: Annotated[int | None, typer.Option(min=1, max=64, help="web processes")] = None,
    *,
    worker: Annotated[bool, typer.Option(help="run trainings too, in a process beside the web")] = True,
) -> None:
    """Serve the API, and run trainings in a worker process beside it."""
    flags = {"HOST": host, "PORT": port, "WEB_PROCESSES": web_processes}
    os.environ.update({f"LIKELY_{name}": str(value) for name, value in flags.items() if value is not None})
    use_single_malloc_arena()  # before the first thread
    settings = Settings()
    is_wanted(os.environ)  # web processes trace; what stands in the way is said here, once
    if worker:
        check_usable(settings)
    alone = settings.web_processes == 1  # else uvicorn starts the processes, and does not say when they serve
    with gc_paused_then_frozen():
        import uvicorn

        from app.training.supervisor import Supervisor, measuring_together

        if alone:
            import app.main  # noqa: F401 - uvicorn asks for it by its name

    configure_logs(settings.log_level)
    database = open_database(settings.database_url, settings.busy_seconds)
    if worker or settings.import_processes or settings.web_processes > 1:
        database.check_several_writers(allowed=settings.allow_affected_sqlite)
    database.migrate()
    check_not_open(database, settings.host)
    _say(f"{database.version} keeps {database.url.render_as_string()}")
    # Leaves through the supervisor's exit, also when the signal comes before or after uvicorn handles it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    options = server_options(settings) | {"app": "app.main:create_app_from_environment", "factory": True}
    server = uvicorn.Server(uvicorn.Config(**options))
    with Supervisor(database, lambda: server.started or not alone) if worker else nullcontext():
        if alone:
            _run(server)
        else:
            with measuring_together():
                uvicorn.run(**options)


def _run(server: "uvicorn.Server") -> None:
    """Do as `uvicorn.run` does for one process."""
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(3)


def server_options(settings: Settings) -> dict[str, Any]:
    """Return how uvicorn is to serve, whichever application."""
    return {
        "host": settings.host,
        "port": settings.port,
        "workers": settings.web_processes,
        "log_level": settings.log_level,
        "log_config": None,  # its lines go where all do: see app/observability/logs.py
        "access_log": False,  # paths hold ids; `MetricsMiddleware` says what was asked for
        # one answers when it has imported all; in 5 s, as uvicorn has it, a busy machine never gets there
        "timeout_worker_healthcheck": _START_SECONDS,
        "timeout_graceful_shutdown": settings.shutdown_seconds,
        "server_header": False,
        "http": "app.web.server:Connection",
        "ws": "none",  # its library would be loaded for nothing
        "proxy_headers": bool(settings.forwarded_allow_ips),
        "forwarded_allow_ips": list(settings.forwarded_allow_ips),
    }


@cli.command()
def worker(
    name: Annotated[str | None, typer.Option(help="how this worker signs its trainings; unique")] = None,
    *,
    until_stdin_closes: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Run trainings until stopped."""
    os.nice(5)  # where cores are short, requests come first
    settings = Settings()
    check_usable(settings)
    with gc_paused_then_frozen():
        from app.training.worker import Worker

    configure_logs(settings.log_level)
    signature = name or f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    tracing = Tracing.of_environment()
    database = open_database(settings.database_url, settings.busy_seconds, trace=span)
    database.check_several_writers(allowed=settings.allow_affected_sqlite)
    database.migrate()
    running = Worker(database, settings, signature)
    for stopping in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stopping, lambda *_: running.stop.set())
    if until_stdin_closes:
        threading.Thread(target=_stop_at_end_of_stdin, args=(running.stop,), daemon=True).start()
    if tracing is None:
        running.run()
        return
    with tracing.activated():
        running.run()
    tracing.close()


def _stop_at_end_of_stdin(stop: threading.Event) -> None:
    # Not sys.stdin.read: Python cannot end while a thread holds that object's lock.
    os.read(sys.stdin.fileno(), 1)
    stop.set()


@cli.command()
def migrate() -> None:
    """Bring the database's tables up to date; `serve` does so too."""
    from app.cli.output import print_line

    settings = Settings()
    database = open_migrated(settings.database_url, settings.busy_seconds)
    print_line(f"{database.url.render_as_string()} is up to date ({database.version})")


@imports.command("movielens")
def import_movielens(
    path: Annotated[Path, typer.Argument(help="an unpacked folder of the ml-latest or the ml-100k layout")],
    catalog: CatalogOption = "movielens",
    like_from: Annotated[float, typer.Option(help="a rating from here on is a like")] = 4.0,
    *,
    genres: Annotated[bool, typer.Option(help="genres become dimensions of 0 or 1")] = True,
) -> None:
    """Import a MovieLens folder: its movies, and its ratings as likes and dislikes."""
    from app.catalogs.catalogs import read_catalog
    from app.catalogs.imports import movielens
    from app.cli.output import out, progress_bar

    settings = Settings()
    database = open_migrated(settings.database_url, settings.busy_seconds)
    with progress_bar() as progress:
        task = progress.add_task(f"importing {path.name}", total=None)
        movielens.import_movielens(
            database,
            path,
            catalog,
            like_from=like_from,
            genres=genres,
            max_rows=settings.max_import_rows,
            progress=lambda rows: progress.update(task, completed=rows),
        )
    with database.reading() as connection:
        summary = read_catalog(connection, catalog)
    out.print(
        f"catalog {catalog}: {summary.movies:,} movies, {summary.users:,} users, "
        f"{summary.responses:,} responses, {len(summary.dimensions)} dimensions",
        markup=False,
    )


cli.command()(demo)
cli.command()(scores)


if __name__ == "__main__":
    main()
