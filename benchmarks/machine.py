"""The machine that a run was on, for whoever compares times. Names nothing that would tell whose it is."""

import os
import platform
from pathlib import Path

import torch

LOAD = "other work"


def machine() -> dict[str, str]:
    """Return what times depend on, by name."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "system": f"{_system()} on {platform.machine()}",
        "Python": platform.python_version(),
        "torch": torch.__version__,
        LOAD: f"a load of {os.getloadavg()[0]:.1f} when the run began",
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return f"{platform.system()} {platform.release()}"
