"""What is served and kept. `main.py` is the table of contents.

Brings structlog in without rich: it would show traces in colour, which logs here have no use for, and take
5 MiB and a tenth of a second of every process. Commands that print tables import rich themselves. Does not
know what is logged.
"""

import sys

if "rich" not in sys.modules:
    sys.modules["rich"] = None  # type: ignore[assignment]  # what says that a module is not to be found
    import structlog  # noqa: F401 - see above

    del sys.modules["rich"]
