"""API keys.

Going back forgets them all, and a service that is reached from its own machine only is then open again.
"""

import sqlalchemy as sa
from alembic import op

from app.database.tables import Key, text

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go one revision forward."""
    op.create_table(
        "api_keys",
        sa.Column("id", Key, nullable=False),
        sa.Column("key", sa.String(length=8), nullable=False),
        sa.Column("label", text(500), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=True),
        sa.Column("revoked_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("key", name=op.f("uq_api_keys_key")),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    """Go one revision back."""
    op.drop_table("api_keys")
