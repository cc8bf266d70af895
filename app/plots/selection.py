"""Which users, movies and dimensions a plot shows, and of which training.

Those that are named, or the first of each: never all of a large catalog.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from app.catalogs.catalogs import CatalogRow
from app.catalogs.ids import in_path
from app.catalogs.movies import unknown_movie
from app.database.tables import Response, User
from app.errors import BadInput, Conflict, NotFound, Place
from app.plots.figures import disambiguated
from app.scoring.model_cache import TrainedModel, TrainedModels
from app.scoring.posteriors import Person, find_serving, read_posteriors, unknown_user
from app.training.trainings import read_training

MOST_NAMED = 50
_FIRST = 12
_LISTED = 20


@dataclass(frozen=True)
class Choice:
    """The training (None: the serving one), users, movies and dimensions that a request names.

    Of what it does not name, the first are shown.
    """

    training: int | None = None
    users: Sequence[str] = ()
    movies: Sequence[str] = ()
    dimensions: Sequence[str] = ()


@dataclass(frozen=True)
class Selection:
    """What is shown: users by their posteriors, movies and dimensions by their indexes."""

    catalog: CatalogRow
    trained: TrainedModel
    posteriors: list[Person]
    rows: list[int]
    columns: list[int]
    all_users: int

    @property
    def dimensions(self) -> list[str]:
        """The names of the dimensions shown."""
        return [self.catalog.dimensions[column] for column in self.columns]

    @property
    def movie_names(self) -> list[str]:
        """The titles of the movies shown, with the id where two have one title."""
        movies = self.trained.movies
        return disambiguated(
            [movies.titles[row] for row in self.rows], [movies.movies[row] for row in self.rows]
        )

    def subtitle(self, *, dimensions: bool = False) -> str:
        """Return how much of the catalog is shown."""
        counts = [
            f"{len(self.posteriors)} of {self.all_users:,} users",
            f"{len(self.rows)} of {len(self.trained.movies.movies):,} movies",
        ]
        if dimensions:
            counts.append(f"{len(self.columns)} of {len(self.catalog.dimensions):,} dimensions")
        return f"training {self.trained.id} ({self.trained.trainer}); {', '.join(counts)}"


def select_shown(
    connection: Connection, models: TrainedModels, catalog: CatalogRow, choice: Choice
) -> Selection:
    """Return what a choice selects.

    Raises `NotFound` for the training, users and movies, `BadInput` for dimensions, and `Conflict` when the
    training has learned nothing, or nothing is trained yet.
    """
    serving = _find_trained(connection, models, catalog, choice.training)
    users = choice.users or _first_users(connection, catalog)
    posteriors = {
        user: state
        for user, state in read_posteriors(connection, catalog, serving, users).items()
        if state.responses > 0
    }
    for user in choice.users:
        if user not in posteriors:
            raise _at("user", unknown_user(catalog.catalog, user))
    for movie in choice.movies:
        if movie not in serving.movies.rows:
            raise _at("movie", unknown_movie(catalog.catalog, movie))
    movies = choice.movies or serving.movies.movies[:_FIRST]
    return Selection(
        catalog=catalog,
        trained=serving,
        posteriors=[posteriors[user] for user in dict.fromkeys(users) if user in posteriors],
        rows=[serving.movies.rows[movie] for movie in dict.fromkeys(movies)],
        columns=_columns(catalog, choice.dimensions),
        all_users=_count_users(connection, catalog),
    )


def _find_trained(
    connection: Connection, models: TrainedModels, catalog: CatalogRow, training: int | None
) -> TrainedModel:
    if training is None:
        return find_serving(connection, models, catalog)
    try:
        row = read_training(connection, catalog.catalog, training)
    except NotFound as error:
        raise _at("training", error) from error
    if row.status != "succeeded":
        raise Conflict(
            f"training {training} is {row.status}, and only one that succeeded has learned what to show; "
            "leave training out to see what serves",
            [Place("a training that succeeded is needed", parameter="training")],
        )
    return models.of(connection, catalog, training)


def _first_users(connection: Connection, catalog: CatalogRow) -> Sequence[str]:
    has_answers = select(Response.user_id).where(Response.user_id == User.id).exists()
    return connection.scalars(
        select(User.user).where(User.catalog_id == catalog.id, has_answers).order_by(User.user).limit(_FIRST)
    ).all()


def _count_users(connection: Connection, catalog: CatalogRow) -> int:
    count = select(func.count()).select_from(User).where(User.catalog_id == catalog.id)
    return connection.execute(count).scalar_one()


def _columns(catalog: CatalogRow, names: Sequence[str]) -> list[int]:
    places = {name: column for column, name in enumerate(catalog.dimensions)}
    for name in names:
        if name not in places:
            raise no_dimension(catalog, name, "dimension")
    return [places[name] for name in names or catalog.dimensions[:_FIRST]]


def check_dimensions(catalog: CatalogRow, minimum: int) -> None:
    """Raise `Conflict` where the catalog has fewer dimensions than a plot needs."""
    there = len(catalog.dimensions)
    if there < minimum:
        raise Conflict(
            f"catalog {catalog.catalog!r} has {there} of the {minimum} dimensions that this plot needs; "
            f"/v1/catalogs/{in_path(catalog.catalog)}/plots/scores shows scores, which need none"
        )


def no_dimension(catalog: CatalogRow, name: str, parameter: str) -> BadInput:
    """Return the problem of a name that no dimension has."""
    names = [*map(repr, catalog.dimensions[:_LISTED])]
    listing = ", ".join(names + ["…"] * (len(catalog.dimensions) > _LISTED))
    return BadInput(
        f"{parameter}: {name!r} is no dimension of catalog {catalog.catalog!r}; there is {listing or 'none'}",
        [Place(f"there is {listing or 'none'}", parameter=parameter)],
    )


def _at(parameter: str, problem: NotFound) -> NotFound:
    return NotFound(problem.detail, [Place(problem.detail, parameter=parameter)])
