"""What two who act at once may do to each other: nothing."""

from app.catalogs.catalogs import find_catalog
from app.database.database import Database
from app.scoring.fold_in import fold_in_stale, store_if_current
from app.scoring.model_cache import TrainedModels
from app.scoring.responses import put_response
from app.scoring.scores import read_embedding
from app.training.trainings import create_training, promote_training
from app.training.worker import Worker


def test_an_embedding_folded_in_before_another_answer_is_not_stored_after_it(
    database: Database, class_catalog: str, worker: Worker
) -> None:
    models = TrainedModels()
    for seed in (1, 2):
        with database.writing() as connection:
            create_training(connection, class_catalog, "gradient_descent", {"epochs": 30}, seed, serve=True)
        worker.run_next()
    with database.writing() as connection:
        put_response(connection, models, class_catalog, "0", "m0", 0.5, None)
        promote_training(connection, class_catalog, 1)  # which leaves user 0 behind
    with database.reading() as connection:
        folded_in = fold_in_stale(connection, models, find_catalog(connection, class_catalog), 10)
    assert folded_in is not None
    with database.writing() as connection:
        put_response(connection, models, class_catalog, "0", "m1", 0.5, None)
    with database.reading() as connection:
        before = read_embedding(connection, models, class_catalog, "0")
    with database.writing() as connection:
        store_if_current(connection, *folded_in)
    with database.reading() as connection:
        stored = "SELECT version FROM user_embeddings WHERE training_id = 1 AND user_id = 1"
        assert connection.exec_driver_sql(stored).scalar() == before.embedding_version
        assert read_embedding(connection, models, class_catalog, "0") == before
