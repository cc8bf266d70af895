"""No dependency is older than the repair of a vulnerability that concerns us; what an audit finds is read.

That all of them are pinned is tested with the Makefile.
"""

import re
from importlib.metadata import version

import pytest
from packaging.version import Version

from tests.support.documents.audit import CONSTRAINTS, Audit

PINNED = dict(re.findall(r"^([\w.-]+)==(\S+)$", CONSTRAINTS.read_text(), re.MULTILINE))

# The first versions without vulnerabilities that a service like this one has: DoS by bodies and headers,
# code that runs when weights are loaded.
REPAIRED = {"starlette": "1.3.1", "h11": "0.16", "torch": "2.10"}


@pytest.mark.parametrize("name", REPAIRED)
def test_what_runs_is_not_older_than_its_repair(name: str) -> None:
    assert Version(version(name)) >= Version(REPAIRED[name])
    assert Version(PINNED[name]) >= Version(REPAIRED[name])


def test_an_audit_counts_what_was_found_and_what_is_unknown() -> None:
    bad = {"id": "CVE-1", "fix_versions": ["2.0"], "aliases": [], "description": ""}
    audit = Audit.of(
        {
            "dependencies": [
                {"name": "one", "version": "1.0", "vulns": [bad]},
                {"name": "other", "version": "1.0", "vulns": []},
                {"name": "third", "skip_reason": "not found"},
            ]
        }
    )
    assert audit == Audit(["one 1.0: CVE-1, fixed in 2.0"], audited=2, unknown=1)
