"""What a newcomer's first command does, and that what is installed is what was written down.

No package is installed here: a stand-in plays the interpreter that the Makefile calls, and logs what it
is asked.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PINS = re.compile(r"^([\w.-]+)==([\w.]+)$", re.MULTILINE)

# Stands for python3: answers `-c` like the real one, makes a .venv of itself and of a `likely` that logs, and
# installs nothing. With the file `no-network` beside the Makefile its pip fails; `no-browser`: none is found.
STAND_IN = f"""#!/bin/sh
case "$1 $2" in
"-c "*) exec "{sys.executable}" "$@" ;;
"-m venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python && echo made >> log
    printf '#!/bin/sh\\necho "likely $*" >> log\\n' > .venv/bin/likely && chmod +x .venv/bin/likely ;;
"-m testbed.chromium") echo "$*" >> log; test ! -e no-browser ;;
"-m pip") echo "$*" | sed 's/.* install/install/' >> log; test ! -e no-network ;;
esac
"""
RUN = ["likely migrate", "likely demo", "likely serve"]
SET_UP = [
    "made",
    "install --no-compile -c constraints.txt --no-deps torch",
    "install --no-compile -c constraints.txt -e .",
]


class Checkout:
    """A checkout as cloned, with nothing set up, in a folder whose name has a space."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name in ("Makefile", "pyproject.toml", "constraints.txt"):
            shutil.copyfile(ROOT / name, folder / name)
            os.utime(folder / name, (0, 0))  # older than any stamp, as on a checkout that has been there

    def interpreter(self, script: str) -> str:
        path = self.folder.parent / "the python"
        path.write_text(script)
        path.chmod(0o755)
        return str(path)

    def make(
        self, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MAKE", "MFLAGS"))
            and name not in {"PYTHON", "HOST", "PORT", "TORCH_INDEX"}
        }
        return subprocess.run(
            ["make", *arguments],
            cwd=self.folder,
            env={**inherited, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )

    def log(self) -> list[str]:
        """What the stand-ins were asked since the last look."""
        path = self.folder / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [" ".join(line.split()) for line in lines]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "a checkout")


def test_the_first_run_sets_up_and_serves(checkout: Checkout) -> None:
    python = checkout.interpreter(STAND_IN)
    made = checkout.make("run", f"PYTHON={python}")
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout == "setting up .venv (a few minutes the first time)\n"
    assert checkout.log() == SET_UP + RUN


def test_a_host_counts_only_when_it_is_given_to_make(checkout: Checkout) -> None:
    checkout.make("run", f"PYTHON={checkout.interpreter(STAND_IN)}")
    checkout.log()
    checkout.make("run", "HOST=::1")
    assert checkout.log()[-1] == "likely serve --host ::1"
    checkout.make("run", environment={"HOST": "x86_64-conda-linux-gnu"})
    assert checkout.log()[-1] == "likely serve"


def test_a_second_run_installs_nothing_and_needs_no_python_named(checkout: Checkout) -> None:
    checkout.make("run", f"PYTHON={checkout.interpreter(STAND_IN)}")
    checkout.log()
    dry = checkout.make("-n", "run", "PYTHON=/no/such/python").stdout
    assert "install" not in dry
    assert "venv --clear" not in dry
    assert checkout.make("run", "PYTHON=/no/such/python", "PORT=9").stdout == ""
    assert checkout.log() == [*RUN[:2], "likely serve --port 9"]


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_changed_dependency_installs_again_into_the_same_venv(checkout: Checkout, name: str) -> None:
    checkout.make("run", f"PYTHON={checkout.interpreter(STAND_IN)}")
    checkout.log()
    ahead = (checkout.folder / ".venv/ready").stat().st_mtime + 60
    os.utime(checkout.folder / name, (ahead, ahead))
    assert checkout.make("run").returncode == 0
    assert checkout.log() == SET_UP[1:] + RUN


def test_a_set_up_that_broke_off_begins_again_from_an_empty_venv(checkout: Checkout) -> None:
    python = checkout.interpreter(STAND_IN)
    (checkout.folder / "no-network").touch()
    assert checkout.make("run", f"PYTHON={python}").returncode != 0
    assert checkout.log() == SET_UP[:2]
    (checkout.folder / "no-network").unlink()
    assert checkout.make("run", f"PYTHON={python}").returncode == 0
    assert checkout.log() == SET_UP + RUN


def test_a_venv_whose_python_is_gone_or_that_was_moved_is_made_again(checkout: Checkout) -> None:
    python = checkout.interpreter(STAND_IN)
    checkout.make("run", f"PYTHON={python}")
    (checkout.folder / ".venv/bin/python").unlink()
    assert "venv --clear" in checkout.make("-n", "run", f"PYTHON={python}").stdout
    checkout.make("run", f"PYTHON={python}")
    checkout.folder = checkout.folder.rename(checkout.folder.with_name("moved"))
    assert "venv --clear" in checkout.make("-n", "run", f"PYTHON={python}").stdout


def test_the_development_tools_come_after_what_runs_and_have_their_own_stamp(checkout: Checkout) -> None:
    python = checkout.interpreter(STAND_IN)
    checkout.make("setup", f"PYTHON={python}")
    assert checkout.log() == [*SET_UP, "install --no-compile -c constraints.txt -e .[dev]"]
    assert "Nothing to be done" in checkout.make("setup").stdout


def test_without_a_browser_make_test_ends_before_anything_is_tested(checkout: Checkout) -> None:
    python = checkout.interpreter(STAND_IN)
    (checkout.folder / "no-browser").touch()
    assert checkout.make("test", f"PYTHON={python}").returncode != 0
    assert checkout.log()[-1] == "-m testbed.chromium"
    tested = checkout.make("-n", "test").stdout
    assert tested.index("testbed.chromium") < tested.index("ruff") < tested.index("pytest")
    assert tested.index("testbed.databases") < tested.index("ruff"), "nor without PostgreSQL"


def test_the_torch_index_serves_torch_and_nothing_else(checkout: Checkout) -> None:
    python = checkout.interpreter(STAND_IN)
    checkout.make("setup", f"PYTHON={python}", "TORCH_INDEX=https://torch.example/cpu")
    named = [line for line in checkout.log() if "--index-url" in line]
    assert named == [
        "install --no-compile -c constraints.txt --no-deps --index-url https://torch.example/cpu torch"
    ]


def test_an_old_python_is_refused_in_one_line_that_names_it(checkout: Checkout) -> None:
    old = f"#!{sys.executable}\nimport sys\nsys.version_info = (3, 9, 18, 'final', 0)\nexec(sys.argv[2])\n"
    made = checkout.make("run", f"PYTHON={checkout.interpreter(old)}")
    assert made.returncode != 0
    assert made.stdout == ""
    assert len(made.stderr.splitlines()) == 1
    assert "is Python 3.9.18, and 3.11 or newer is needed" in made.stderr
    assert "make run PYTHON=python3.12" in made.stderr
    assert not (checkout.folder / ".venv").exists()


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_a_python_without_venv_is_refused_in_one_line_that_names_the_package(
    checkout: Checkout, module: str
) -> None:
    bare = f"#!{sys.executable}\nimport sys\nsys.modules[{module!r}] = None\nexec(sys.argv[2])\n"
    made = checkout.make("run", f"PYTHON={checkout.interpreter(bare)}")
    assert made.returncode != 0
    assert made.stdout == ""
    assert len(made.stderr.splitlines()) == 1
    assert "apt-get install python3-venv" in made.stderr
    assert not (checkout.folder / ".venv").exists()


def test_no_python_at_all_is_refused_in_one_line(checkout: Checkout) -> None:
    made = checkout.make("run", "PYTHON=/no/such/python")
    assert made.returncode != 0
    assert len(made.stderr.splitlines()) == 1
    assert 'no Python answers to "/no/such/python"' in made.stderr


def test_every_installed_requirement_has_its_version_in_the_constraints() -> None:
    pins = {canonicalize_name(name): version for name, version in PINS.findall(_text("constraints.txt"))}
    installed = dict(_installed_requirements())
    assert len(installed) > len(_declared())
    assert {name: pins.get(name) for name in installed} == installed


def test_the_constraints_hold_nothing_but_one_plain_pin_a_package() -> None:
    lines = [line for line in _text("constraints.txt").splitlines() if not line.startswith("#")]
    assert all(PINS.fullmatch(line) for line in lines)
    names = [canonicalize_name(line.split("==")[0]) for line in lines]
    assert len(names) == len(set(names))
    assert "likely" not in names


def test_every_dependency_says_why_it_is_here() -> None:
    with_reasons = re.findall(r'^    "([^"]+)", +# \w.+$', _text("pyproject.toml"), re.MULTILINE)
    assert set(_declared()) <= set(with_reasons)


def test_no_file_names_a_persons_folder_or_a_packages_address() -> None:
    folders = ("/home/", "/Users/", "/root/")
    wheel = re.compile(r"https?://\S+\.(?:whl|tar\.gz|deb)")
    torch_index = "download.pytorch.org"
    may_name_it = {"README.md", "docs/install.md", "CONTRIBUTING.md", "Dockerfile", "Makefile"}
    named = [
        f"{name} names {word}"
        for name, text in _repository()
        for word in (*(folder for folder in folders if folder in text), *wheel.findall(text))
    ]
    named += [name for name, text in _repository() if torch_index in text and name not in may_name_it]
    assert named == []


@pytest.mark.parametrize(("failing", "ran"), [("test", "make audit\nmake test\n"), ("audit", "make audit\n")])
def test_ci_audits_and_tests_and_fails_with_either(tmp_path: Path, failing: str, ran: str) -> None:
    assert os.access(ROOT / ".ci/run", os.X_OK)
    done = _ci(tmp_path, make=f'echo "make $*"; test "$1" != {failing} || exit 3')
    assert (done.returncode, done.stdout) == (3, ran)


@pytest.mark.parametrize(("package", "program"), [("python3-venv", "python3"), ("chromium", "chromium")])
def test_ci_installs_what_is_missing_and_fails_when_that_does_not_help(
    tmp_path: Path, package: str, program: str
) -> None:
    ran = _ci(tmp_path, make="", **{program: "exit 1"})
    assert ran.returncode == 1
    assert f"apt-get install -qq --yes --no-install-recommends {package}" in ran.stdout
    assert ran.stderr == f"installed, and still not usable: {package}\n"


def _ci(folder: Path, **programs: str) -> subprocess.CompletedProcess[str]:
    for name, script in {
        "git": "",
        "python3": "",
        "chromium": "",
        "strace": "",
        "initdb": "",
        "apt-get": 'echo "apt-get $*"',
        **programs,
    }.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return subprocess.run(
        ["bash", ROOT / ".ci/run"],
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _declared() -> list[str]:
    project = tomllib.loads(_text("pyproject.toml"))["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["dev"]]


def _installed_requirements() -> Iterator[tuple[NormalizedName, str]]:
    """Every installed package that the project needs, directly or not, and its public version."""
    waiting = [(Requirement(line), "") for line in _declared()]
    seen = set()
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        for wanted in ("", *requirement.extras):
            name = canonicalize_name(requirement.name)
            if (name, wanted) in seen:
                continue
            seen.add((name, wanted))
            try:
                found = distribution(name)
            except PackageNotFoundError:
                continue  # what is missing fails where it is imported
            yield name, Version(found.version).public
            waiting += [(Requirement(line), wanted) for line in found.requires or ()]


def _repository() -> Iterator[tuple[str, str]]:
    """Name and text of every file committed or about to be, without this one, which has the words."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if path.is_file() and path != Path(__file__):
            yield name, path.read_text(encoding="utf-8", errors="ignore")
