"""What the console shows in tests: a service's settings, catalogs made over HTTP. Knows no page."""

from app.cli.demo import DIMENSIONS, MOVIES, RESPONSES, SEED
from testbed.live import Service

# What the console asks for that other tests' services do without; a busy machine computes and draws slowly.
EVERYTHING = {
    "LIKELY_COMPUTE_PROCESSES": "1",
    "LIKELY_COMPUTE_SECONDS": "30",
    "LIKELY_DRAWING_PROCESSES": "1",
    "LIKELY_DRAWING_SECONDS": "30",
}


def load_class_trained(service: Service, catalog: str) -> None:
    """Make a catalog as the class notebook has it, and train it as the notebook does."""
    path = f"/v1/catalogs/{catalog}"
    service.http.put(path, json={"dimensions": DIMENSIONS}).raise_for_status()
    vectors = "".join(f"{movie},{','.join(map(str, vector))}\n" for movie, vector in MOVIES.items())
    _import(service, f"{path}/movies:import", f"movie,{','.join(DIMENSIONS)}\n{vectors}")
    responses = "".join(
        f"{user},{movie},{response}\n"
        for user, answers in RESPONSES.items()
        for movie, response in zip(MOVIES, answers, strict=True)
    )
    _import(service, f"{path}/responses:import", f"user,movie,response\n{responses}")
    train(service, catalog, trainer="gradient_descent", seed=SEED)


def train(service: Service, catalog: str, **body: object) -> int:
    """Train a catalog to the end and return the training's number."""
    started = service.http.post(f"/v1/catalogs/{catalog}/trainings", json=body).raise_for_status()
    end = service.wait_for(started.headers["location"], "succeeded", "failed", "cancelled")
    assert end["status"] == "succeeded", end
    number: int = end["id"]
    return number


def load_large(service: Service, catalog: str, *, users: int, movies: int) -> None:
    """Make a catalog of many users and movies, each user with a few responses, imported, not trained."""
    path = f"/v1/catalogs/{catalog}"
    service.http.put(path, json={"dimensions": ["action", "romance"]}).raise_for_status()
    vectors = "".join(f"movie-{n:04},Movie {n},{n % 7 / 7},{n % 5 / 5}\n" for n in range(movies))
    _import(service, f"{path}/movies:import", f"movie,title,action,romance\n{vectors}")
    responses = "".join(
        f"user-{user:04},movie-{(user * 31 + n * 17) % movies:04},{(user + n) % 2}\n"
        for user in range(users)
        for n in range(10)
    )
    _import(service, f"{path}/responses:import", f"user,movie,response\n{responses}")


def _import(service: Service, path: str, rows: str) -> None:
    service.http.post(path, content=rows, headers={"content-type": "text/csv"}).raise_for_status()
