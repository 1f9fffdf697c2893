"""The first schema: sites, tokens, projects, runs, messages, payloads, quotas, nonces, audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
            comment="counts up from 1 without gaps",
        ),
        sa.Column("at_ms", sa.BigInteger(), nullable=False, comment="when, in milliseconds since 1970"),
        sa.Column("actor", sa.String(length=64), nullable=False, comment="operator, or the site's key"),
        sa.Column("action", sa.String(length=40), nullable=False, comment="what was done"),
        sa.Column("object", sa.String(length=120), nullable=False, comment="to what"),
        sa.Column("detail", sa.String(length=1000), nullable=False, comment="further facts as canonical JSON"),
        sa.Column(
            "head", sa.LargeBinary(length=32), nullable=False, comment="hash over this entry and the head before it"
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit")),
        comment="Append-only, hash-chained log of what matters for security",
    )
    op.create_table(
        "nonce",
        sa.Column("key", sa.LargeBinary(length=32), nullable=False, comment="key that signed the write"),
        sa.Column("nonce", sa.String(length=86), nullable=False, comment="nonce of its signature"),
        sa.Column(
            "request", sa.LargeBinary(length=32), nullable=False, comment="hash of method, path, query and body digest"
        ),
        sa.Column("status", sa.Integer(), nullable=False, comment="status of the answer"),
        sa.Column("content_type", sa.String(length=40), nullable=False, comment="media type of the answer"),
        sa.Column("answer", sa.LargeBinary(), nullable=False, comment="body of the answer"),
        sa.Column("created", sa.Double(), nullable=False, comment="when it was given; forgotten after ten minutes"),
        sa.PrimaryKeyConstraint("key", "nonce", name=op.f("pk_nonce")),
        comment="Writes that had their effect, so that a repeated one gets its answer again",
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_nonce_created"), "nonce", ["created"], unique=False)
    op.create_table(
        "probe",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False, comment="always 1"),
        sa.Column("at", sa.Double(), nullable=False, comment="when it was written"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_probe")),
        comment="One row that a readiness check rewrites to prove that the database can be written",
    )
    op.create_table(
        "site",
        sa.Column(
            "key", sa.LargeBinary(length=32), nullable=False, comment="Ed25519 verify key; the site's name on the wire"
        ),
        sa.Column(
            "name",
            sa.String(length=100).with_variant(sa.String(length=100, collation="C"), "postgresql"),
            nullable=False,
            comment="name for people, as the site gave it",
        ),
        sa.Column("role", sa.String(length=16), nullable=False, comment="site or coordinator, from the join token"),
        sa.Column("enrolled", sa.Double(), nullable=False, comment="when the site enrolled"),
        sa.Column("last_seen", sa.Double(), nullable=True, comment="last request that it signed, to about ten seconds"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_site")),
        sa.UniqueConstraint("name", name=op.f("uq_site_name")),
        comment="Enrolled sites",
    )
    op.create_table(
        "project",
        sa.Column("id", sa.Uuid(), nullable=False, comment="chosen by its coordinator"),
        sa.Column("name", sa.String(length=100), nullable=False, comment="name for people"),
        sa.Column("coordinator", sa.LargeBinary(length=32), nullable=False, comment="the site that leads it"),
        sa.Column(
            "terms", sa.LargeBinary(), nullable=False, comment="opaque bytes that its officers agree to; never change"
        ),
        sa.Column("state", sa.String(length=16), nullable=False, comment="open or closed"),
        sa.Column(
            "roster_version",
            sa.Integer(),
            nullable=True,
            comment="version of the roster that is in force; empty before the first",
        ),
        sa.Column("created", sa.Double(), nullable=False, comment="when it was created"),
        sa.ForeignKeyConstraint(["coordinator"], ["site.key"], name=op.f("fk_project_coordinator")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_project")),
        comment="Projects",
    )
    op.create_index(op.f("ix_project_coordinator"), "project", ["coordinator"], unique=False)
    op.create_table(
        "token",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
            comment="number that the operator revokes it by",
        ),
        sa.Column(
            "hash",
            sa.LargeBinary(length=32),
            nullable=False,
            comment="SHA-256 of the token: it has 256 random bits, so a slow or salted hash would add nothing",
        ),
        sa.Column("role", sa.String(length=16), nullable=False, comment="role of the site that uses it"),
        sa.Column("label", sa.String(length=100), nullable=False, comment="operator's note: for whom it was made"),
        sa.Column("created", sa.Double(), nullable=False, comment="when it was made"),
        sa.Column("expires", sa.Double(), nullable=False, comment="when it stops being valid"),
        sa.Column("revoked", sa.Double(), nullable=True, comment="when the operator revoked it"),
        sa.Column("used_by", sa.LargeBinary(length=32), nullable=True, comment="site that used it up"),
        sa.Column("used", sa.Double(), nullable=True, comment="when it was used up"),
        sa.ForeignKeyConstraint(["used_by"], ["site.key"], name=op.f("fk_token_used_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token")),
        sa.UniqueConstraint("hash", name=op.f("uq_token_hash")),
        comment="Join tokens; each enrols one site",
        sqlite_autoincrement=True,
    )
    op.create_table(
        "member",
        sa.Column("project", sa.Uuid(), nullable=False, comment="project"),
        sa.Column("site", sa.LargeBinary(length=32), nullable=False, comment="invited site"),
        sa.Column("state", sa.String(length=16), nullable=False, comment="see relay.api.states.MemberState"),
        sa.Column("reason", sa.String(length=200), nullable=False, comment="the site's word on its last answer"),
        sa.Column(
            "roster_version", sa.Integer(), nullable=True, comment="version of the roster that its officer confirmed"
        ),
        sa.Column("updated", sa.Double(), nullable=False, comment="when the state last changed"),
        sa.ForeignKeyConstraint(["project"], ["project.id"], name=op.f("fk_member_project")),
        sa.ForeignKeyConstraint(["site"], ["site.key"], name=op.f("fk_member_site")),
        sa.PrimaryKeyConstraint("project", "site", name=op.f("pk_member")),
        comment="Sites of a project",
    )
    op.create_index(op.f("ix_member_site"), "member", ["site"], unique=False)
    op.create_table(
        "roster",
        sa.Column("project", sa.Uuid(), nullable=False, comment="project"),
        sa.Column("version", sa.Integer(), nullable=False, comment="counts up from 1"),
        sa.Column("site", sa.LargeBinary(length=32), nullable=False, comment="site that stands in it"),
        sa.ForeignKeyConstraint(["project"], ["project.id"], name=op.f("fk_roster_project")),
        sa.ForeignKeyConstraint(["site"], ["site.key"], name=op.f("fk_roster_site")),
        sa.PrimaryKeyConstraint("project", "version", "site", name=op.f("pk_roster")),
        comment="Rosters, one row for each site of each version; rows are never changed",
    )
    op.create_index(op.f("ix_roster_site"), "roster", ["site"], unique=False)
    op.create_table(
        "run",
        sa.Column("id", sa.Uuid(), nullable=False, comment="chosen by the coordinator"),
        sa.Column("project", sa.Uuid(), nullable=False, comment="project"),
        sa.Column(
            "roster_version",
            sa.Integer(),
            nullable=False,
            comment="roster in force when it was created; its sites take part",
        ),
        sa.Column("name", sa.String(length=100), nullable=False, comment="name for people"),
        sa.Column("state", sa.String(length=16), nullable=False, comment="see relay.api.states.RunState"),
        sa.Column("reason", sa.String(length=200), nullable=False, comment="the coordinator's word on the last change"),
        sa.Column("created", sa.Double(), nullable=False, comment="when it was created"),
        sa.Column("updated", sa.Double(), nullable=False, comment="when the state last changed"),
        sa.ForeignKeyConstraint(["project"], ["project.id"], name=op.f("fk_run_project")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
        comment="Runs",
    )
    op.create_index(op.f("ix_run_project"), "run", ["project"], unique=False)
    op.create_table(
        "blob",
        sa.Column("id", sa.Uuid(), nullable=False, comment="name of its file"),
        sa.Column(
            "announcement",
            sa.LargeBinary(length=32),
            nullable=False,
            comment="hash of run, sender, recipient, size and digest: the same announcement is the same payload",
        ),
        sa.Column("run", sa.Uuid(), nullable=False, comment="run it belongs to"),
        sa.Column("sender", sa.LargeBinary(length=32), nullable=False, comment="site that uploads it"),
        sa.Column(
            "recipient",
            sa.LargeBinary(length=32),
            nullable=True,
            comment="site that may fetch it; empty for all of the run",
        ),
        sa.Column("size", sa.BigInteger(), nullable=False, comment="announced size in bytes"),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False, comment="announced SHA-256"),
        sa.Column(
            "received",
            sa.BigInteger(),
            nullable=False,
            comment="bytes that are durable; what the file has beyond is void",
        ),
        sa.Column("complete", sa.Boolean(), nullable=False, comment="all bytes are there and have the digest"),
        sa.Column("created", sa.Double(), nullable=False, comment="when it was announced"),
        sa.ForeignKeyConstraint(["recipient"], ["site.key"], name=op.f("fk_blob_recipient")),
        sa.ForeignKeyConstraint(["run"], ["run.id"], name=op.f("fk_blob_run")),
        sa.ForeignKeyConstraint(["sender"], ["site.key"], name=op.f("fk_blob_sender")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_blob")),
        sa.UniqueConstraint("announcement", name=op.f("uq_blob_announcement")),
        comment="Sealed payloads; their bytes are in the blob folder",
    )
    op.create_index(op.f("ix_blob_run"), "blob", ["run"], unique=False)
    op.create_table(
        "usage",
        sa.Column("run", sa.Uuid(), nullable=False, comment="run"),
        sa.Column("site", sa.LargeBinary(length=32), nullable=False, comment="site that is charged"),
        sa.Column(
            "messages", sa.BigInteger(), nullable=False, comment="messages posted, refused second frames included"
        ),
        sa.Column("frame_bytes", sa.BigInteger(), nullable=False, comment="bytes of their frames"),
        sa.Column("payload_bytes", sa.BigInteger(), nullable=False, comment="bytes of announced payloads"),
        sa.ForeignKeyConstraint(["run"], ["run.id"], name=op.f("fk_usage_run")),
        sa.ForeignKeyConstraint(["site"], ["site.key"], name=op.f("fk_usage_site")),
        sa.PrimaryKeyConstraint("run", "site", name=op.f("pk_usage")),
        comment="What a site used of its quotas in a run",
    )
    op.create_table(
        "message",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
            comment="ascends in the order of commits and is never used twice",
        ),
        sa.Column("run", sa.Uuid(), nullable=False, comment="run it belongs to"),
        sa.Column("sender", sa.LargeBinary(length=32), nullable=False, comment="site that signed and posted it"),
        sa.Column(
            "recipient", sa.LargeBinary(length=32), nullable=True, comment="site it is for; empty for all of the run"
        ),
        sa.Column(
            "slot",
            sa.LargeBinary(length=32),
            nullable=False,
            comment="hash of run, sender, recipient, epoch, round and kind: an author has one frame for it",
        ),
        sa.Column(
            "round",
            sa.BigInteger(),
            nullable=False,
            comment="the frame's round, for operators who look where a run stands",
        ),
        sa.Column("kind", sa.Integer(), nullable=False, comment="the frame's kind, likewise"),
        sa.Column("payload", sa.Uuid(), nullable=True, comment="payload that travels with it"),
        sa.Column("created", sa.Double(), nullable=False, comment="when it was accepted"),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False, comment="SHA-256 of the frame"),
        sa.Column("size", sa.Integer(), nullable=False, comment="bytes of the frame"),
        sa.Column(
            "frame",
            sa.LargeBinary(),
            nullable=False,
            comment="signed frame; the body is sealed or bound by a signed hash",
        ),
        sa.ForeignKeyConstraint(["payload"], ["blob.id"], name=op.f("fk_message_payload")),
        sa.ForeignKeyConstraint(["recipient"], ["site.key"], name=op.f("fk_message_recipient")),
        sa.ForeignKeyConstraint(["run"], ["run.id"], name=op.f("fk_message_run")),
        sa.ForeignKeyConstraint(["sender"], ["site.key"], name=op.f("fk_message_sender")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message")),
        sa.UniqueConstraint("slot", name=op.f("uq_message_slot")),
        comment="Messages",
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_message_run_id"), "message", ["run", "id"], unique=False)
    op.create_table(
        "delivery",
        sa.Column("recipient", sa.LargeBinary(length=32), nullable=False, comment="site that is to read it"),
        sa.Column("message", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False, comment="message"),
        sa.ForeignKeyConstraint(["message"], ["message.id"], name=op.f("fk_delivery_message")),
        sa.ForeignKeyConstraint(["recipient"], ["site.key"], name=op.f("fk_delivery_recipient")),
        sa.PrimaryKeyConstraint("recipient", "message", name=op.f("pk_delivery")),
        comment="Who may read which message, written when it is posted",
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_delivery_message"), "delivery", ["message"], unique=False)
