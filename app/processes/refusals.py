"""Problems between a process and the web process. Does not know what is refused."""

from collections.abc import Iterator

from pydantic import BaseModel

from app.errors import Place, Problem
from app.processes.frames import Frame, Kind


def _kinds(above: type[Problem]) -> Iterator[type[Problem]]:
    for kind in above.__subclasses__():
        yield kind
        yield from _kinds(kind)


_REFUSALS = {kind.type: kind for kind in _kinds(Problem)}


class Refusal(BaseModel):
    """A problem as it travels."""

    type: str
    detail: str
    places: list[Place]


def refused(problem: Problem) -> Frame:
    """Return the frame that refuses a task."""
    refusal = Refusal(type=problem.type, detail=problem.detail, places=list(problem.places))
    return Frame(Kind.REFUSAL, refusal.model_dump_json().encode())


def refusal_of(body: bytes) -> Problem:
    """Return the problem that a refusal holds."""
    refusal = Refusal.model_validate_json(body)
    return _REFUSALS[refusal.type](refusal.detail, refusal.places)
