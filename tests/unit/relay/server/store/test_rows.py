"""The named tuples of the store have the columns of the tables, in their order."""

import pytest

from relay.server.store import rows, schema

WHOLE = {
    rows.SiteRow: schema.site,
    rows.TokenRow: schema.token,
    rows.ListedToken: schema.token,
    rows.ProjectRow: schema.project,
    rows.JoinedProject: schema.project,
    rows.MemberRow: schema.member,
    rows.NamedMember: schema.member,
    rows.RunRow: schema.run,
    rows.OpenRun: schema.run,
    rows.ReportRow: schema.report,
    rows.BlobRow: schema.blob,
    rows.UsageRow: schema.usage,
    rows.NamedUsage: schema.usage,
    rows.LeaseRow: schema.lease,
    rows.NonceRow: schema.nonce,
    rows.AuditRow: schema.audit,
    rows.EpochRow: schema.epoch,
}


@pytest.mark.parametrize(("kind", "table"), WHOLE.items(), ids=lambda item: getattr(item, "__name__", ""))
def test_a_row_has_the_columns_of_its_table(kind, table):
    columns = tuple(table.c.keys())
    assert kind._fields[: len(columns)] == columns
