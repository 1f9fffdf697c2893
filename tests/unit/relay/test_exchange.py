"""What the client makes of a `Retry-After`, and of files that do not serve for TLS."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from relay.client.exchange import Tls, _pause_asked
from secagg.errors import ParameterError


@pytest.mark.parametrize(("header", "seconds"), [("", 0), ("7", 7), ("soon", 0), ("٣", 0), ("-1", 0), ("1.5", 0)])
def test_a_number_of_seconds(header, seconds):
    assert _pause_asked(header) == seconds


def test_a_date():
    later = datetime.now(UTC) + timedelta(seconds=40)
    assert 35 < _pause_asked(format_datetime(later, usegmt=True)) <= 40
    assert _pause_asked(format_datetime(later - timedelta(hours=1), usegmt=True)) < 0  # no pause
    assert _pause_asked(later.replace(tzinfo=None).strftime("%a, %d %b %Y %H:%M:%S")) == 0  # of nobody's zone


def test_files_that_do_not_serve(tmp_path):
    (tmp_path / "x.pem").write_text("no certificate")
    for tls in (Tls(ca_file=tmp_path / "none"), Tls(ca_file=tmp_path / "x.pem"), Tls(cert_file=tmp_path / "x.pem")):
        with pytest.raises(ParameterError, match="do not serve for TLS"):
            tls.context()
