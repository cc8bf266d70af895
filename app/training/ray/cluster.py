"""A Ray cluster to train on: one of this machine's own for the time of a training, or one that is there.

Ray runs whatever whoever reaches it sends, as pickles, and listens on the machine's address even where it is
alone. So its token authentication is always on; one of our own has a token that nobody else has, and its
files are for their owner only. It shows no dashboard and sends no usage statistics.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from types import ModuleType

from app.database.urls import parse_url
from app.errors import Unavailable
from app.settings import Settings, is_loopback

LOCAL = "local"

_ANSWERS_SECONDS, _GREETS_SECONDS = 3.0, 10.0
_GREETING = "import sys; from ray._raylet import GcsClient; print(flush=True); GcsClient(address=sys.argv[1])"
_TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
_HOME_TOKEN = Path("~/.ray/auth_token")
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_NOT_BEGUN = (OSError, RuntimeError, ValueError)


class ClusterUnusableError(Exception):
    """Trainings are to run on Ray and cannot; the message is one sentence for who starts the worker."""


def check_usable(settings: Settings) -> None:
    """Raise `ClusterUnusableError` where the settings ask for Ray and something stands in the way.

    A cluster that is there already is asked for a sign of life, for some seconds.
    """
    address = settings.ray_address
    if address is None:
        return
    if find_spec("ray") is None:
        raise ClusterUnusableError(
            "LIKELY_RAY_ADDRESS asks for Ray, which is not installed: pip install 'likely[ray]', or unset it"
        )
    if address == LOCAL:
        return
    elsewhere = not is_loopback(address.rpartition(":")[0])
    if elsewhere and parse_url(settings.database_url).get_backend_name() == "sqlite":
        raise ClusterUnusableError(
            "LIKELY_RAY_ADDRESS names a cluster that cannot read a SQLite file: "
            "set LIKELY_DATABASE_URL to PostgreSQL, or LIKELY_RAY_ADDRESS to local"
        )
    if not any(os.environ.get(name) for name in _TOKENS) and not _HOME_TOKEN.expanduser().exists():
        raise ClusterUnusableError(
            "LIKELY_RAY_ADDRESS names a cluster whose token is missing: set RAY_AUTH_TOKEN or "
            "RAY_AUTH_TOKEN_PATH to what it was started with"
        )
    _greet(address)


def _greet(address: str) -> None:
    """Ask for a sign of life, by a process that can be ended: Ray itself waits for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWERS_SECONDS).close()
    except OSError as error:
        raise ClusterUnusableError(
            f"LIKELY_RAY_ADDRESS: nothing answers at {address}: {error.strerror or error}"
        ) from error
    command = [sys.executable, "-c", _GREETING, address]
    _prepare()
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as greeting:  # noqa: S603 - our own
        try:
            if greeting.stdout is not None:
                greeting.stdout.readline()  # it has imported Ray, which may take as long as the rest
            _, errors = greeting.communicate(timeout=_GREETS_SECONDS)
        except subprocess.TimeoutExpired:
            greeting.kill()
            _, errors = greeting.communicate()
    if greeting.returncode == 0:
        return
    if "Unauthenticated" in errors:
        raise ClusterUnusableError(
            f"LIKELY_RAY_ADDRESS: the cluster at {address} does not take the token: set RAY_AUTH_TOKEN or "
            "RAY_AUTH_TOKEN_PATH to what it was started with"
        )
    raise ClusterUnusableError(f"LIKELY_RAY_ADDRESS: what answers at {address} is no Ray cluster")


@contextmanager
def connected(settings: Settings) -> Iterator[None]:
    """Be connected to the cluster for the time of the block; one of our own begins and ends with it.

    Raises `Unavailable` when it cannot be reached.
    """
    try:
        check_usable(settings)
    except ClusterUnusableError as error:
        raise Unavailable(str(error)) from error
    ray = _imported()
    if settings.ray_address == LOCAL:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else Ray keeps one in a file
    folder = mkdtemp(prefix="ray-")  # for its owner only; a long name would be no name for a socket
    is_connected = False
    try:
        with _signals_kept():
            if settings.ray_address == LOCAL:
                ray.init(
                    address=LOCAL,
                    num_cpus=settings.training_threads,
                    include_dashboard=False,
                    configure_logging=False,
                    log_to_driver=False,
                    _temp_dir=folder,
                )
            else:
                ray.init(address=settings.ray_address, configure_logging=False, log_to_driver=False)
        is_connected = True
        yield
    except Exception as error:
        # Where its processes take long to come, Ray raises a plain Exception.
        if is_connected or not (
            type(error) is Exception or isinstance(error, (*_NOT_BEGUN, ray.exceptions.RayError))
        ):
            raise
        message = str(error).partition("\n")[0]
        raise Unavailable(f"the Ray cluster cannot be used at present: {message}") from error
    finally:  # also what of it had begun
        ray.shutdown()
        rmtree(folder, ignore_errors=True)


def _prepare() -> None:
    """Configure Ray by the environment, which it reads when it is imported."""
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # as it will be, and no warning of it


def _imported() -> ModuleType:
    _prepare()
    with warnings.catch_warnings(action="ignore"):
        import ray
        import ray.exceptions
    return ray


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Restore this process's signal handlers; with Ray's it would end at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [(number, signal.getsignal(number)) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
