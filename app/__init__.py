"""The application in rooms: `<room>/routes.py` speaks HTTP, the room does it, `database/` keeps it.

main.py         the application, wired: settings, database, middleware, routes
settings.py     every setting of the service, in one list
errors.py       everything that can go wrong for a caller, as one tree
catalogs/       catalogs, their movies and users, and imports of files
cli/            the commands of `likely`
compute/        the notebook's computations, in processes that may be killed
database/       two engines, one set of tables
observability/  logs, metrics and traces
operations/     backups, copies, verification
plots/          figures, and the process that draws them
processes/      pools of warm processes
scoring/        responses, and the scores that follow from them
training/       the queue, the worker, and what it publishes
web/            everything between a connection and a route's handler

Here structlog is brought in without rich: it would show traces in colour, which logs here have no use for,
and take 5 MiB and a tenth of a second of every process. Commands that print tables import rich themselves.
"""

import sys

if "rich" not in sys.modules:
    sys.modules["rich"] = None  # type: ignore[assignment]  # what says that a module is not to be found
    import structlog  # noqa: F401 - see above

    del sys.modules["rich"]
