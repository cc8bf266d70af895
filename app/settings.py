"""Every setting of the service, in one list; each is an environment variable ``LIKELY_<NAME>``.

Command-line flags override these values.
"""

import os
import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_HOST = re.compile(r"\[[0-9a-f:.]+\]|[a-z0-9._-]+")
_ORIGIN = re.compile(rf"https?://({_HOST.pattern})(:[0-9]{{1,5}})?")
_ADDRESS = re.compile(rf"({_HOST.pattern}):([0-9]{{1,5}})", re.IGNORECASE)
_THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")


class Settings(BaseSettings):
    """The complete configuration, read from the environment once at start-up."""

    model_config = SettingsConfigDict(env_prefix="LIKELY_", extra="ignore", frozen=True)

    database_url: str = Field(
        "sqlite:///likely.db",
        description="where everything is kept: a SQLite file, or `postgresql://user@host/database`",
    )
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on")
    web_processes: int = Field(1, ge=1, le=64, description="web processes that `likely serve` starts")
    log_level: str = Field(
        "info", pattern="^(debug|info|warning|error)$", description="least severe line logged"
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="origins whose pages may use the API, separated by commas; `*` is any"
    )
    trusted_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="names in `Host` that are answered, separated by commas; `*` is any. If none is set: "
        "any, but on a loopback address only this machine's",
    )
    forwarded_allow_ips: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="addresses of proxies whose `X-Forwarded-*` headers count, separated by commas"
    )
    receive_seconds: float = Field(
        20.0,
        gt=0,
        le=3600,
        description="longest wait for a request; a body has a second more for each 16 KiB",
    )
    requests_at_once: int = Field(
        128, ge=1, description="most requests under way, for each web process; more are refused at once"
    )
    streams: int = Field(256, ge=0, description="most event streams at once, for each web process")
    scores_a_second: float = Field(
        0.0, ge=0, description="scores and other reads that a client may ask for a second; 0 is any number"
    )
    writes_a_second: float = Field(0.0, ge=0, description="writes and imports, likewise")
    compute_a_second: float = Field(0.0, ge=0, description="computations, likewise")
    trainings_a_second: float = Field(0.0, ge=0, description="trainings begun or cancelled, likewise")
    burst_seconds: float = Field(
        10.0, gt=0, description="a client that asked for nothing this long may ask for all of it at once"
    )
    max_json_depth: int = Field(100, ge=8, le=500, description="deepest nesting of a JSON body")
    max_body_bytes: int = Field(4 * 2**20, ge=1024, description="largest JSON body accepted")
    max_import_bytes: int = Field(4 * 2**30, ge=1024, description="largest import accepted")
    max_import_rows: int = Field(50_000_000, ge=1, description="most rows in one import")
    import_processes: int = Field(
        1,
        ge=0,
        le=16,
        description="processes that import, for each web process; 0 imports in the web process",
    )
    import_seconds: float = Field(3600.0, gt=0, description="wall-clock time of one import in a process")
    catalog_memory_bytes: int = Field(
        8 * 2**30, ge=2**20, description="memory of one catalog's movies and what was learned of them"
    )
    index_movies: int = Field(
        2_000_000,
        ge=0,
        description="a catalog of more movies than this is recommended from by a FAISS index, with the extra "
        "`faiss`",
    )
    answer_memory_bytes: int = Field(2**29, ge=2**20, description="memory of one answer")
    training_memory_bytes: int = Field(
        16 * 2**30, ge=2**20, description="memory of a training's data, in a worker"
    )
    busy_seconds: float = Field(30.0, gt=0, description="longest wait for the database's write lock")
    idempotency_seconds: float = Field(
        86_400.0, gt=0, description="how long an answer is kept under its Idempotency-Key"
    )
    allow_affected_sqlite: bool = Field(
        default=False,
        description="let several processes write with a SQLite that can corrupt it",
    )
    shutdown_seconds: int = Field(3, ge=0, description="how long open requests may finish after SIGTERM")
    lease_seconds: float = Field(
        5.0, ge=0.5, description="a worker silent for this long has lost its training"
    )
    heartbeat_file: Path | None = Field(
        None, description="a file that a worker touches every few seconds while it is well"
    )
    poll_seconds: float = Field(0.1, gt=0, le=10, description="how often workers and event streams look")
    training_attempts: int = Field(
        10, ge=1, description="workers that may die on one training before it fails"
    )
    training_threads: int = Field(
        default_factory=lambda: max(1, (os.cpu_count() or 2) - 1),
        ge=1,
        description="torch threads of a worker; one core is left to the web by default",
    )
    ray_address: str | None = Field(
        None,
        description="a Ray cluster that `mixed_effects` trains on: `local` for this machine's cores, or "
        "`host:port`; needs the extra `ray`",
    )
    compute_processes: int = Field(
        2, ge=0, le=64, description="processes that compute, for each web process; 0 turns computing off"
    )
    compute_waiting: int = Field(64, ge=0, description="most computations that wait for one of them")
    compute_seconds: float = Field(2.0, gt=0, le=3600, description="wall-clock time of one computation")
    compute_body_bytes: int = Field(256 * 2**10, ge=1024, description="largest body of a computation")
    compute_memory_bytes: int = Field(
        2**30, ge=2**26, description="memory of one computation, beside torch's own"
    )
    compute_program_bytes: int = Field(4096, ge=1, le=2**20, description="longest program")
    compute_nesting: int = Field(64, ge=1, le=64, description="deepest nesting of a program and of its lists")
    compute_operations: int = Field(1000, ge=1, description="most operations that a program runs")
    compute_elements: int = Field(1_000_000, ge=1, description="most elements of any tensor")
    compute_epochs: int = Field(100_000, ge=1, description="most epochs of a network")
    compute_parameters: int = Field(100_000, ge=1, description="most parameters of a network")
    drawing_processes: int = Field(
        1, ge=0, le=64, description="processes that draw, for each web process; 0 turns pictures off"
    )
    drawing_waiting: int = Field(64, ge=0, description="most pictures that wait for one of them")
    drawing_seconds: float = Field(10.0, gt=0, le=3600, description="wall-clock time of one picture")

    @field_validator("cors_origins", "trusted_hosts", "forwarded_allow_ips", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"{origin!r} is no origin as browsers send it: scheme, host in small letters and port, "
                    "and nothing behind them, for example https://app.example.org or http://localhost:5173"
                )
        return origins

    @field_validator("ray_address")
    @classmethod
    def _check_ray_address(cls, address: str | None) -> str | None:
        if address and address != "local" and not _ADDRESS.fullmatch(address):
            raise ValueError(
                f"{address!r} is no Ray cluster: expected local, or a host and a port, for example ray:6379"
            )
        return address or None

    @field_validator("trusted_hosts")
    @classmethod
    def _check_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if host != "*" and not _HOST.fullmatch(host):
                raise ValueError(
                    f"{host!r} is no host: its name in small letters or its address, without scheme and "
                    "port, for example likely.example.org or [::1]"
                )
        return hosts

    def trusts(self) -> frozenset[str] | None:
        """Return the hosts that requests may name, None for any.

        On a loopback address only this machine's: otherwise a page elsewhere whose name resolves to this
        machine ("DNS rebinding") would be answered as if it were local.
        """
        if "*" in self.trusted_hosts or not (self.trusted_hosts or is_loopback(self.host)):
            return None
        return frozenset(self.trusted_hosts or (*_THIS_MACHINE, self.host.lower()))


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address; IPv6 may be in brackets."""
    name = host.lower().removeprefix("[").removesuffix("]")
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
