"""Leases of jobs and runs, pieces of payloads in an object store, time of a run's purge."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "lease",
        sa.Column("name", sa.String(length=60), nullable=False, comment="what is leased: a job, or run/<id>"),
        sa.Column("holder", sa.String(length=64), nullable=False, comment="name that the holder gave itself"),
        sa.Column(
            "token", sa.BigInteger(), nullable=False, comment="counts up with each holder; a smaller one is stale"
        ),
        sa.Column("until", sa.Double(), nullable=False, comment="when it ends unless it is renewed"),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
        comment="Who does what nobody else may do at the same time",
    )
    op.create_table(
        "piece",
        sa.Column("blob", sa.Uuid(), nullable=False, comment="payload"),
        sa.Column("offset", sa.BigInteger(), nullable=False, comment="place of its first byte in the payload"),
        sa.Column("size", sa.Integer(), nullable=False, comment="bytes"),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False, comment="SHA-256; names its object"),
        sa.ForeignKeyConstraint(["blob"], ["blob.id"], name=op.f("fk_piece_blob")),
        sa.PrimaryKeyConstraint("blob", "offset", name=op.f("pk_piece")),
        comment="Pieces of payloads that are objects of their own; none where payloads are files",
    )
    op.create_index(op.f("ix_message_payload"), "message", ["payload"])
    op.add_column(
        "run", sa.Column("purged", sa.Double(), nullable=True, comment="when its messages and payloads were removed")
    )
