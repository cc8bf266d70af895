"""The hand-written service: FastAPI, one handler, the model in memory; torch's threads as torch sets them.

MODEL=file LIKELY_PORT=8001 python -m benchmarks.speed.peers.handler
"""

import os
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.speed.peers.recommender import Recommender

app = FastAPI()
model = Recommender.load(Path(os.environ["MODEL"]))


class Score(BaseModel):
    """A movie and how probable it is that the user likes it."""

    movie: str
    title: str
    score: float
    logit: float


class Recommendations(BaseModel):
    """The best movies of a user."""

    user: str
    scores: list[Score]


@app.get("/readyz")
def ready() -> None:
    """Say that the model is here."""


@app.get("/users/{user}/recommendations")
def recommend(user: str, limit: int = 10) -> Recommendations:
    """Recommend."""
    return Recommendations.model_validate({"user": user, "scores": model.recommend(user, limit)})


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["LIKELY_PORT"]), log_level="warning")
