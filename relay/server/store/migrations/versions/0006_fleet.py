"""What the last request of each site showed of it."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column(
        "site",
        sa.Column("release", sa.String(40), nullable=True, comment="release of its program, as it said last"),
    )
    op.add_column(
        "site",
        sa.Column(
            "clock_offset_s", sa.Double(), nullable=True, comment="seconds by which its clock was ahead of the relay's"
        ),
    )
