"""Problems between a process and the web process. Does not know what is refused."""

from pydantic import BaseModel

from app.errors import BadInput, OverBudget, Place, Problem, TooLarge
from app.processes.frames import Frame, Kind

_REFUSALS: dict[str, type[Problem]] = {each.type: each for each in (BadInput, TooLarge, OverBudget)}


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
