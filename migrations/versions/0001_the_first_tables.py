"""The first tables: catalogs, movies, users, responses, trainings and what they learn."""

import sqlalchemy as sa
from alembic import op

from app.database.tables import Key, text

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go one revision forward."""
    op.create_table(
        "catalogs",
        sa.Column("id", Key, nullable=False),
        sa.Column("catalog", text(128), nullable=False),
        sa.Column("title", text(500), nullable=False),
        sa.Column("dimensions", sa.JSON(), nullable=False),
        sa.Column("movies_version", sa.Integer(), nullable=False),
        sa.Column("embeddings_behind", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalogs")),
        sa.UniqueConstraint("catalog", name=op.f("uq_catalogs_catalog")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "movies",
        sa.Column("id", Key, nullable=False),
        sa.Column("catalog_id", Key, nullable=False),
        sa.Column("movie", text(128), nullable=False),
        sa.Column("title", text(500), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["catalog_id"], ["catalogs.id"], name=op.f("fk_movies_catalog_id_catalogs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_movies")),
        sa.UniqueConstraint("catalog_id", "movie", name=op.f("uq_movies_catalog_id_movie")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "trainings",
        sa.Column("id", Key, nullable=False),
        sa.Column("catalog_id", Key, nullable=False),
        sa.Column("trainer", sa.String(length=40), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("serve", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("steps_done", sa.Integer(), nullable=False),
        sa.Column("steps_total", sa.Integer(), nullable=False),
        sa.Column("loss", sa.Double(), nullable=True),
        sa.Column("metrics", sa.JSON(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(length=200), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["catalog_id"], ["catalogs.id"], name=op.f("fk_trainings_catalog_id_catalogs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trainings")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_trainings_catalog_id"), "trainings", ["catalog_id"])
    op.create_index(op.f("ix_trainings_status_lease_until"), "trainings", ["status", "lease_until"])
    op.create_table(
        "users",
        sa.Column("id", Key, nullable=False),
        sa.Column("catalog_id", Key, nullable=False),
        sa.Column("user", text(128), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["catalog_id"], ["catalogs.id"], name=op.f("fk_users_catalog_id_catalogs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("catalog_id", "user", name=op.f("uq_users_catalog_id_user")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "responses",
        sa.Column("user_id", Key, nullable=False),
        sa.Column("movie_id", Key, nullable=False),
        sa.Column("response", sa.Double(), nullable=False),
        sa.Column("timestamp", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["movie_id"], ["movies.id"], name=op.f("fk_responses_movie_id_movies"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_responses_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "movie_id", name=op.f("pk_responses")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_responses_movie_id"), "responses", ["movie_id"])
    op.create_table(
        "servings",
        sa.Column("catalog_id", Key, nullable=False),
        sa.Column("training_id", Key, nullable=False),
        sa.ForeignKeyConstraint(
            ["catalog_id"], ["catalogs.id"], name=op.f("fk_servings_catalog_id_catalogs"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["training_id"],
            ["trainings.id"],
            name=op.f("fk_servings_training_id_trainings"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("catalog_id", name=op.f("pk_servings")),
    )
    op.create_index(op.f("ix_servings_training_id"), "servings", ["training_id"])
    op.create_table(
        "training_steps",
        sa.Column("training_id", Key, nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("loss", sa.Double(), nullable=False),
        sa.Column("data_loss", sa.Double(), nullable=False),
        sa.Column("penalty", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["training_id"],
            ["trainings.id"],
            name=op.f("fk_training_steps_training_id_trainings"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("training_id", "step", name=op.f("pk_training_steps")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "user_embeddings",
        sa.Column("training_id", Key, nullable=False),
        sa.Column("user_id", Key, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("embedding", sa.LargeBinary(), nullable=False),
        sa.Column("squared_norm", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["training_id"],
            ["trainings.id"],
            name=op.f("fk_user_embeddings_training_id_trainings"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_user_embeddings_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("training_id", "user_id", name=op.f("pk_user_embeddings")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_user_embeddings_training_id_squared_norm"),
        "user_embeddings",
        ["training_id", "squared_norm"],
    )
    op.create_index(op.f("ix_user_embeddings_user_id"), "user_embeddings", ["user_id"])


def downgrade() -> None:
    """Go one revision back."""
    op.drop_index(op.f("ix_user_embeddings_user_id"), "user_embeddings")
    op.drop_index(op.f("ix_user_embeddings_training_id_squared_norm"), "user_embeddings")
    op.drop_table("user_embeddings")
    op.drop_table("training_steps")
    op.drop_index(op.f("ix_servings_training_id"), "servings")
    op.drop_table("servings")
    op.drop_index(op.f("ix_responses_movie_id"), "responses")
    op.drop_table("responses")
    op.drop_table("users")
    op.drop_index(op.f("ix_trainings_status_lease_until"), "trainings")
    op.drop_index(op.f("ix_trainings_catalog_id"), "trainings")
    op.drop_table("trainings")
    op.drop_table("movies")
    op.drop_table("catalogs")
