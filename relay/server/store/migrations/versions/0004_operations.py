"""Operation: signed checkpoints of the audit log, the relay's epoch, milestones of recurring work."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "checkpoint",
        sa.Column(
            "entries",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="entries of the audit log it covers",
        ),
        sa.Column(
            "at_ms", sa.BigInteger(), nullable=False, comment="when it was last signed, in milliseconds since 1970"
        ),
        sa.Column("head", sa.LargeBinary(32), nullable=False, comment="head of the chain after these entries"),
        sa.Column("key", sa.LargeBinary(32), nullable=False, comment="Ed25519 verify key of the relay that signed"),
        sa.Column("signature", sa.LargeBinary(64), nullable=False, comment="over number of entries, time and head"),
        sa.PrimaryKeyConstraint("entries", name=op.f("pk_checkpoint")),
        comment="Signed checkpoints of the audit log; those that were kept elsewhere show a cut-off tail",
    )
    op.create_table(
        "epoch",
        sa.Column("id", sa.Uuid(), nullable=False, comment="drawn at random; clients see it change"),
        sa.Column(
            "since", sa.Double(), nullable=False, comment="when it began; no request that was signed before counts"
        ),
        sa.Column("cause", sa.String(100), nullable=False, comment="first start, or the backup that was restored"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_epoch")),
        comment="Lives of this relay: each restored backup begins a new one, the latest is in force",
    )
    op.create_table(
        "milestone",
        sa.Column("name", sa.String(40), nullable=False, comment="which work: backup, audit-verified, ..."),
        sa.Column("at", sa.Double(), nullable=False, comment="when it last succeeded"),
        sa.Column("detail", sa.String(200), nullable=False, comment="for people, such as the name of the file"),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_milestone")),
        comment="When recurring work last succeeded, whichever process did it",
    )
