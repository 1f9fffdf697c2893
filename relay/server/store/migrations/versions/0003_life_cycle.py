"""The life cycle: labels, silence and end of sites; tasks of projects; run numbers; reports of sites."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    for column in (
        sa.Column(
            "labels", sa.String(2500), nullable=False, server_default="{}", comment="operator's and site's words, JSON"
        ),
        sa.Column("silent_since", sa.Double(), comment="last request before it fell silent; empty while it comes"),
        sa.Column("predecessor", sa.LargeBinary(32), comment="key that it took the place of"),
        sa.Column("ended", sa.Double(), comment="when its key stopped being valid"),
        sa.Column("ending", sa.String(16), comment="how: see relay.api.states.Ending"),
    ):
        op.add_column("site", column)
    op.add_column(
        "project",
        sa.Column(
            "tasks_version", sa.Integer(), nullable=False, server_default="0", comment="counts changes of its tasks"
        ),
    )
    op.add_column("run", sa.Column("task", sa.Integer(), comment="task of the project that it carries out, from 0 on"))
    op.add_column(
        "run",
        sa.Column(
            "number", sa.Integer(), nullable=False, server_default="0", comment="counts the project's runs from 1 on"
        ),
    )
    run = sa.table("run", sa.column("project"), sa.column("created"), sa.column("number"))
    earlier = run.alias("earlier")
    position = sa.select(sa.func.count()).where(earlier.c.project == run.c.project, earlier.c.created <= run.c.created)
    op.execute(sa.update(run).values(number=position.scalar_subquery()))
    op.create_table(
        "task",
        sa.Column("project", sa.Uuid(), nullable=False, comment="project"),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False, comment="its place, from 0 on"),
        sa.Column("name", sa.String(length=100), nullable=False, comment="name for people"),
        sa.Column("parameters", sa.LargeBinary(), nullable=False, comment="opaque bytes"),
        sa.ForeignKeyConstraint(["project"], ["project.id"], name=op.f("fk_task_project")),
        sa.PrimaryKeyConstraint("project", "position", name=op.f("pk_task")),
        comment="Tasks of a project, in their order",
    )
    op.create_table(
        "report",
        sa.Column("run", sa.Uuid(), nullable=False, comment="run"),
        sa.Column("site", sa.LargeBinary(length=32), nullable=False, comment="site that reports"),
        sa.Column("state", sa.String(length=16), nullable=False, comment="see relay.api.states.SiteState"),
        sa.Column("round", sa.BigInteger(), nullable=False, comment="the round that it is in"),
        sa.Column("reason", sa.String(length=200), nullable=False, comment="the site's word on the last change"),
        sa.Column("updated", sa.Double(), nullable=False, comment="when the state last changed"),
        sa.ForeignKeyConstraint(["run"], ["run.id"], name=op.f("fk_report_run")),
        sa.ForeignKeyConstraint(["site"], ["site.key"], name=op.f("fk_report_site")),
        sa.PrimaryKeyConstraint("run", "site", name=op.f("pk_report")),
        comment="Where each site says that it stands in a run",
    )
