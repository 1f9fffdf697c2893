"""The relay's tables. Keys and hashes are raw bytes, times are seconds since 1970 in UTC.

Everything here is metadata, ciphertext or signed by its author; no column holds a key or plaintext. Changes go through
`migrations/`, and a test compares the two.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Uuid,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_Name = String(100).with_variant(String(100, collation="C"), "postgresql")  # sorted by code points, as SQLite does
_Serial = BigInteger().with_variant(Integer, "sqlite")  # SQLite only auto-increments columns declared INTEGER

LABELS_CHARS = 2500
"""Maximum length of a site's labels, as JSON."""

site = Table(
    "site",
    metadata,
    Column("key", LargeBinary(32), primary_key=True, comment="Ed25519 verify key; the site's name on the wire"),
    Column("name", _Name, nullable=False, unique=True, comment="name for people, as the site gave it"),
    Column("role", String(16), nullable=False, comment="see relay.api.states.Role; from the join token"),
    Column("enrolled", Double, nullable=False, comment="when the site enrolled"),
    Column("last_seen", Double, comment="last request that it signed, to about ten seconds"),
    Column(
        "labels", String(LABELS_CHARS), nullable=False, server_default="{}", comment="operator's and site's words, JSON"
    ),
    Column("silent_since", Double, comment="last request before it fell silent; empty while it comes"),
    Column("predecessor", LargeBinary(32), comment="key that it took the place of"),
    Column("ended", Double, comment="when its key stopped being valid"),
    Column("ending", String(16), comment="how: see relay.api.states.Ending"),
    Column("release", String(40), comment="release of its program, as it said last"),
    Column("clock_offset_s", Double, comment="seconds by which its clock was ahead of the relay's"),
    comment="Enrolled sites",
)

token = Table(
    "token",
    metadata,
    Column("id", _Serial, primary_key=True, comment="number that the operator revokes it by"),
    Column(
        "hash",
        LargeBinary(32),
        nullable=False,
        unique=True,
        comment="SHA-256 of the token: it has 256 random bits, so a slow or salted hash would add nothing",
    ),
    Column("role", String(16), nullable=False, comment="role of the site that uses it"),
    Column("label", String(100), nullable=False, comment="operator's note: for whom it was made"),
    Column("created", Double, nullable=False, comment="when it was made"),
    Column("expires", Double, nullable=False, comment="when it stops being valid"),
    Column("revoked", Double, comment="when the operator revoked it"),
    Column("used_by", ForeignKey("site.key"), comment="site that used it up"),
    Column("used", Double, comment="when it was used up"),
    comment="Join tokens; each enrols one site",
    sqlite_autoincrement=True,
)

project = Table(
    "project",
    metadata,
    Column("id", Uuid, primary_key=True, comment="chosen by its coordinator"),
    Column("name", String(100), nullable=False, comment="name for people"),
    Column("coordinator", ForeignKey("site.key"), nullable=False, index=True, comment="the site that leads it"),
    Column("terms", LargeBinary, nullable=False, comment="opaque bytes that its officers agree to; never change"),
    Column("state", String(16), nullable=False, comment="open or closed"),
    Column("roster_version", Integer, comment="version of the roster that is in force; empty before the first"),
    Column("created", Double, nullable=False, comment="when it was created"),
    Column("tasks_version", Integer, nullable=False, server_default="0", comment="counts changes of its tasks"),
    comment="Projects",
)

task = Table(
    "task",
    metadata,
    Column("project", ForeignKey("project.id"), primary_key=True, comment="project"),
    Column("position", Integer, primary_key=True, autoincrement=False, comment="its place, from 0 on"),
    Column("name", String(100), nullable=False, comment="name for people"),
    Column("parameters", LargeBinary, nullable=False, comment="opaque bytes"),
    comment="Tasks of a project, in their order",
)

member = Table(
    "member",
    metadata,
    Column("project", ForeignKey("project.id"), primary_key=True, comment="project"),
    Column("site", ForeignKey("site.key"), primary_key=True, index=True, comment="invited site"),
    Column("state", String(16), nullable=False, comment="see relay.api.states.MemberState"),
    Column("reason", String(200), nullable=False, comment="the site's word on its last answer"),
    Column("roster_version", Integer, comment="version of the roster that its officer confirmed"),
    Column("updated", Double, nullable=False, comment="when the state last changed"),
    comment="Sites of a project",
)

roster = Table(
    "roster",
    metadata,
    Column("project", ForeignKey("project.id"), primary_key=True, comment="project"),
    Column("version", Integer, primary_key=True, comment="counts up from 1"),
    Column("site", ForeignKey("site.key"), primary_key=True, index=True, comment="site that stands in it"),
    comment="Rosters, one row for each site of each version; rows are never changed",
)

run = Table(
    "run",
    metadata,
    Column("id", Uuid, primary_key=True, comment="chosen by the coordinator"),
    Column("project", ForeignKey("project.id"), nullable=False, index=True, comment="project"),
    Column(
        "roster_version", Integer, nullable=False, comment="roster in force when it was created; its sites take part"
    ),
    Column("name", String(100), nullable=False, comment="name for people"),
    Column("state", String(16), nullable=False, comment="see relay.api.states.RunState"),
    Column("reason", String(200), nullable=False, comment="the coordinator's word on the last change"),
    Column("created", Double, nullable=False, comment="when it was created"),
    Column("updated", Double, nullable=False, comment="when the state last changed"),
    Column("task", Integer, comment="task of the project that it carries out, from 0 on"),
    Column("number", Integer, nullable=False, server_default="0", comment="counts the project's runs from 1 on"),
    Column("deadline", Double, comment="when the relay ends it if its coordinator has not; empty for never"),
    Column("purged", Double, comment="when its messages and payloads were removed"),
    comment="Runs",
)

report = Table(
    "report",
    metadata,
    Column("run", ForeignKey("run.id"), primary_key=True, comment="run"),
    Column("site", ForeignKey("site.key"), primary_key=True, comment="site that reports"),
    Column("state", String(16), nullable=False, comment="see relay.api.states.SiteState"),
    Column("round", BigInteger, nullable=False, comment="the round that it is in"),
    Column("reason", String(200), nullable=False, comment="the site's word on the last change"),
    Column("updated", Double, nullable=False, comment="when the state last changed"),
    comment="Where each site says that it stands in a run",
)

blob = Table(
    "blob",
    metadata,
    Column("id", Uuid, primary_key=True, comment="name of its file"),
    Column(
        "announcement",
        LargeBinary(32),
        nullable=False,
        unique=True,
        comment="hash of run, sender, recipient, size and digest: the same announcement is the same payload",
    ),
    Column("run", ForeignKey("run.id"), nullable=False, index=True, comment="run it belongs to"),
    Column("sender", ForeignKey("site.key"), nullable=False, comment="site that uploads it"),
    Column("recipient", ForeignKey("site.key"), comment="site that may fetch it; empty for all of the run"),
    Column("size", BigInteger, nullable=False, comment="announced size in bytes"),
    Column("digest", LargeBinary(32), nullable=False, comment="announced SHA-256"),
    Column("received", BigInteger, nullable=False, comment="bytes that are durable; what the file has beyond is void"),
    Column("complete", Boolean, nullable=False, comment="all bytes are there and have the digest"),
    Column("created", Double, nullable=False, comment="when it was announced"),
    comment="Sealed payloads; their bytes are in the blob folder",
)

piece = Table(
    "piece",
    metadata,
    Column("blob", ForeignKey("blob.id"), primary_key=True, comment="payload"),
    Column(
        "offset", BigInteger, primary_key=True, autoincrement=False, comment="place of its first byte in the payload"
    ),
    Column("size", Integer, nullable=False, comment="bytes"),
    Column("digest", LargeBinary(32), nullable=False, comment="SHA-256; names its object"),
    comment="Pieces of payloads that are objects of their own; none where payloads are files",
)

message = Table(
    "message",
    metadata,
    Column("id", _Serial, primary_key=True, comment="ascends in the order of commits and is never used twice"),
    Column("run", ForeignKey("run.id"), nullable=False, comment="run it belongs to"),
    Column("sender", ForeignKey("site.key"), nullable=False, comment="site that signed and posted it"),
    Column("recipient", ForeignKey("site.key"), comment="site it is for; empty for all of the run"),
    Column(
        "slot",
        LargeBinary(32),
        nullable=False,
        unique=True,
        comment="hash of run, sender, recipient, epoch, round and kind: an author has one frame for it",
    ),
    Column("round", BigInteger, nullable=False, comment="the frame's round, for operators who look where a run stands"),
    Column("kind", Integer, nullable=False, comment="the frame's kind, likewise"),
    Column("payload", ForeignKey("blob.id"), index=True, comment="payload that travels with it"),
    Column("created", Double, nullable=False, comment="when it was accepted"),
    Column("digest", LargeBinary(32), nullable=False, comment="SHA-256 of the frame"),
    Column("size", Integer, nullable=False, comment="bytes of the frame"),
    Column("frame", LargeBinary, nullable=False, comment="signed frame; the body is sealed or bound by a signed hash"),
    Index(None, "run", "id"),
    comment="Messages",
    sqlite_autoincrement=True,
)

delivery = Table(
    "delivery",
    metadata,
    Column("recipient", ForeignKey("site.key"), primary_key=True, comment="site that is to read it"),
    Column("message", ForeignKey("message.id"), primary_key=True, index=True, comment="message"),
    comment="Who may read which message, written when it is posted",
    sqlite_with_rowid=False,
)

usage = Table(
    "usage",
    metadata,
    Column("run", ForeignKey("run.id"), primary_key=True, comment="run"),
    Column("site", ForeignKey("site.key"), primary_key=True, comment="site that is charged"),
    Column("messages", BigInteger, nullable=False, comment="messages posted, refused second frames included"),
    Column("frame_bytes", BigInteger, nullable=False, comment="bytes of their frames"),
    Column("payload_bytes", BigInteger, nullable=False, comment="bytes of announced payloads"),
    comment="What a site used of its quotas in a run",
)

nonce = Table(
    "nonce",
    metadata,
    Column("key", LargeBinary(32), primary_key=True, comment="key that signed the write"),
    Column("nonce", String(86), primary_key=True, comment="nonce of its signature"),
    Column("request", LargeBinary(32), nullable=False, comment="hash of method, path, query and body digest"),
    Column("status", Integer, nullable=False, comment="status of the answer"),
    Column("content_type", String(40), nullable=False, comment="media type of the answer"),
    Column("answer", LargeBinary, nullable=False, comment="body of the answer"),
    Column("created", Double, nullable=False, index=True, comment="when it was given; forgotten after ten minutes"),
    comment="Writes that had their effect, so that a repeated one gets its answer again",
    sqlite_with_rowid=False,
)

audit = Table(
    "audit",
    metadata,
    Column("seq", _Serial, primary_key=True, autoincrement=False, comment="counts up from 1 without gaps"),
    Column("at_ms", BigInteger, nullable=False, comment="when, in milliseconds since 1970"),
    Column("actor", String(64), nullable=False, comment="operator, or the site's key"),
    Column("action", String(40), nullable=False, comment="what was done"),
    Column("object", String(120), nullable=False, comment="to what"),
    Column("detail", String(1000), nullable=False, comment="further facts as canonical JSON"),
    Column("head", LargeBinary(32), nullable=False, comment="hash over this entry and the head before it"),
    comment="Append-only, hash-chained log of what matters for security",
)

lease = Table(
    "lease",
    metadata,
    Column("name", String(60), primary_key=True, comment="what is leased: a job, or run/<id>"),
    Column("holder", String(64), nullable=False, comment="name that the holder gave itself"),
    Column("token", BigInteger, nullable=False, comment="counts up with each holder; a smaller one is stale"),
    Column("until", Double, nullable=False, comment="when it ends unless it is renewed"),
    comment="Who does what nobody else may do at the same time",
)

checkpoint = Table(
    "checkpoint",
    metadata,
    Column("entries", BigInteger, primary_key=True, autoincrement=False, comment="entries of the audit log it covers"),
    Column("at_ms", BigInteger, nullable=False, comment="when it was last signed, in milliseconds since 1970"),
    Column("head", LargeBinary(32), nullable=False, comment="head of the chain after these entries"),
    Column("key", LargeBinary(32), nullable=False, comment="Ed25519 verify key of the relay that signed"),
    Column("signature", LargeBinary(64), nullable=False, comment="over number of entries, time and head"),
    comment="Signed checkpoints of the audit log; those that were kept elsewhere show a cut-off tail",
)

epoch = Table(
    "epoch",
    metadata,
    Column("id", Uuid, primary_key=True, comment="drawn at random; clients see it change"),
    Column("since", Double, nullable=False, comment="when it began; no request that was signed before counts"),
    Column("cause", String(100), nullable=False, comment="first start, or the backup that was restored"),
    comment="Lives of this relay: each restored backup begins a new one, the latest is in force",
)

milestone = Table(
    "milestone",
    metadata,
    Column("name", String(40), primary_key=True, comment="which work: backup, audit-verified, ..."),
    Column("at", Double, nullable=False, comment="when it last succeeded"),
    Column("detail", String(200), nullable=False, comment="for people, such as the name of the file"),
    comment="When recurring work last succeeded, whichever process did it",
)

probe = Table(
    "probe",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, comment="always 1"),
    Column("at", Double, nullable=False, comment="when it was written"),
    comment="One row that a readiness check rewrites to prove that the database can be written",
)

__all__ = [
    "audit", "blob", "checkpoint", "delivery", "epoch", "lease", "member", "message", "metadata", "milestone", "nonce",
    "piece", "probe", "project", "report", "roster", "run", "site", "task", "token", "usage",
]  # fmt: skip
