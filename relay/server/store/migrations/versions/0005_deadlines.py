"""Deadlines of runs."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column(
        "run",
        sa.Column(
            "deadline",
            sa.Double(),
            nullable=True,
            comment="when the relay ends it if its coordinator has not; empty for never",
        ),
    )
