"""What trainings learn of movies and how surely, what they were measured on, and what they saw.

Columns come and go in place: to copy a table, as Alembic's batches do, would delete what refers to it.
"""

import sqlalchemy as sa
from alembic import op

from app.database.tables import Key

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go one revision forward."""
    op.create_table(
        "movie_embeddings",
        sa.Column("training_id", Key, nullable=False),
        sa.Column("movie_id", Key, nullable=False),
        sa.Column("embedding", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["movie_id"], ["movies.id"], name=op.f("fk_movie_embeddings_movie_id_movies"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["training_id"],
            ["trainings.id"],
            name=op.f("fk_movie_embeddings_training_id_trainings"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("training_id", "movie_id", name=op.f("pk_movie_embeddings")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_movie_embeddings_movie_id"), "movie_embeddings", ["movie_id"])
    op.create_table(
        "training_states",
        sa.Column("training_id", Key, nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["training_id"],
            ["trainings.id"],
            name=op.f("fk_training_states_training_id_trainings"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("training_id", name=op.f("pk_training_states")),
    )
    op.add_column(
        "trainings", sa.Column("if_better", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column("trainings", sa.Column("holdout", sa.JSON(), nullable=True))
    op.add_column("trainings", sa.Column("provenance", sa.JSON(), nullable=True))
    op.add_column("user_embeddings", sa.Column("factor", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    """Go one revision back."""
    op.drop_column("user_embeddings", "factor")
    op.drop_column("trainings", "provenance")
    op.drop_column("trainings", "holdout")
    op.drop_column("trainings", "if_better")
    op.drop_table("training_states")
    op.drop_index(op.f("ix_movie_embeddings_movie_id"), "movie_embeddings")
    op.drop_table("movie_embeddings")
