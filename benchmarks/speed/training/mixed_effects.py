"""The training of mixed_effects on MovieLens to its end, beside myFM and scikit-learn on the same responses.

All three answer the accuracy benchmark's random split, each in a process of its own with one thread, and must
be as good at it as ever before a time counts. myFM lives in an environment of its own, as there. Does not
know how anything is trained.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch

from benchmarks.accuracy.environments import Scored, ask, python
from benchmarks.accuracy.splits import Question, split
from benchmarks.folder import Folder
from benchmarks.speed.lines import Goal, Line, missing
from benchmarks.speed.stopwatch import InTurn, said
from models.recommender.evaluation import evaluate
from testbed.running import check


class PeerError(RuntimeError):
    """A peer ended with an error, or answered badly: its line says so."""


@dataclass(frozen=True)
class _Peer:
    """Whom it is measured against, with which goal; ``least`` is the AUC that its answers must have."""

    name: str
    model: str
    package: str
    environment: str
    goal: Goal
    least: float
    times: int


_WORK = "mixed_effects on ml-latest-small, to convergence"
_LEAST = 0.783  # of Likely's AUC; docs/accuracy.md has 0.7865
_PEERS = (
    _Peer(
        "myFM with genres, 200 samples",
        "peers.myfm_models:FactorizationMachineWithGenres",
        "myfm",
        "myfm",
        Goal("at least", 8, "times faster"),
        0.78,
        3,
    ),
    _Peer(
        "scikit-learn's logistic regression, one a user",
        "peers.logistic_regression:LogisticRegressions",
        "scikit-learn",
        "main",
        Goal("at least", 30, "times faster"),
        0.71,
        5,
    ),
)


def measure(movielens: Path) -> Iterator[Line]:
    """Measure Likely in turn with each peer that is here."""
    question = split(Folder.read(movielens), "random")
    for peer in _PEERS:
        why = _away(peer)
        if why:
            yield missing(_WORK, peer.name, peer.goal, why)
            continue
        try:
            times = _in_turn(peer, question)
        except PeerError as error:
            yield missing(_WORK, peer.name, peer.goal, str(error), failed=True)
            continue
        yield Line(
            _WORK,
            peer.name,
            peer.goal,
            times.times_faster,
            f"{said(times.ours)} for {said(times.theirs)}, one thread each",
        )


def _away(peer: _Peer) -> str:
    """Return why a peer cannot be asked; an empty sentence where it can."""
    if peer.environment == "main":
        return "" if find_spec("sklearn") else "it is not installed"
    try:
        python(peer.environment)
    except SystemExit as failure:
        return f"its environment cannot be made: {str(failure).splitlines()[-1]}"
    return ""


def _in_turn(peer: _Peer, question: Question) -> InTurn:
    return InTurn.of(lambda: _ours(question), lambda: _theirs(peer, question), peer.times)


def _ours(question: Question) -> float:
    answer = ask("main", "likely_model:WithLearnedDimensions", "likely", question.task)
    check(_is_good(question, answer, _LEAST))
    return answer.seconds


def _theirs(peer: _Peer, question: Question) -> float:
    try:
        answer = ask(peer.environment, peer.model, peer.package, question.task)
    except SystemExit as failure:
        raise PeerError(str(failure).splitlines()[-1].replace("|", "/")) from failure
    if not _is_good(question, answer, peer.least):
        raise PeerError("its scores are worse than they were")
    return answer.seconds


def _is_good(question: Question, answer: Scored, least: float) -> bool:
    """Return whether the scores are as good as they were."""
    result = evaluate(torch.from_numpy(answer.scores), torch.from_numpy(question.answers))
    return result.auc is not None and result.auc >= least
