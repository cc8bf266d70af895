"""Ask whether a dependency as pinned has a known vulnerability: `make audit`, and CI before the tests.

By pip-audit, in an environment of its own. Ends with 1 only for what was found: where the database of
vulnerabilities cannot be reached, or does not know a package, that is said and no more.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

CONSTRAINTS = Path(__file__).parents[3] / "constraints.txt"
_INSTALL_SECONDS, _AUDIT_SECONDS = 180, 180

# Vulnerabilities that do not concern us, each with why.
IGNORED: dict[str, str] = {}


@dataclass(frozen=True)
class Audit:
    """What was found in which package, and which packages nothing was said of."""

    found: list[str]
    audited: int
    unknown: int

    @classmethod
    def of(cls, report: dict[str, Any]) -> "Audit":
        """Read what pip-audit writes as JSON."""
        result, audited, unknown = [], 0, 0
        for package in report["dependencies"]:
            if "skip_reason" in package:
                unknown += 1
                continue
            audited += 1
            for one in package["vulns"]:
                if one["id"] not in IGNORED:
                    fixed = ", ".join(one["fix_versions"]) or "no version yet"
                    result.append(f"{package['name']} {package['version']}: {one['id']}, fixed in {fixed}")
        return cls(result, audited, unknown)


def main() -> int:
    """Audit constraints.txt and say what came of it."""
    report = _run_pip_audit()
    if report is None:
        print("not audited: pip-audit cannot be had, or the database cannot be reached")  # noqa: T201 - its output
        return 0
    audit = Audit.of(report)
    print(f"audited {audit.audited} packages, {audit.unknown} unknown to the database")  # noqa: T201 - likewise
    if audit.audited:
        print("\n".join(audit.found) or "no known vulnerability in these")  # noqa: T201 - likewise
    return 1 if audit.found else 0


def _run_pip_audit() -> dict[str, Any] | None:
    with TemporaryDirectory() as name:
        python = Path(name) / "venv" / "bin" / "python"
        install = [str(python), "-m", "pip", "-qq", "--disable-pip-version-check", "install", "pip-audit"]
        audit = [
            str(python),
            "-m",
            "pip_audit",
            "--no-deps",
            "--disable-pip",
            "-f",
            "json",
            "-r",
            str(CONSTRAINTS),
        ]
        try:
            subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], check=True)
            subprocess.run(install, check=True, capture_output=True, timeout=_INSTALL_SECONDS)
            outcome = subprocess.run(audit, check=False, capture_output=True, timeout=_AUDIT_SECONDS)
            report: dict[str, Any] = json.loads(outcome.stdout)
        except (subprocess.SubprocessError, OSError, ValueError):
            return None
        return report


if __name__ == "__main__":
    sys.exit(main())
