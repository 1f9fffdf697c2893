"""Our fast signature parser against the library's: both accept the same signatures."""

import time

import pytest
from http_message_signatures import HTTPMessageSignaturesException
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from relay.api import signing
from relay.api.signing import RequestHead, Signed, sign
from relay.api.wire import to_base64url
from relay.server.http.signatures import StaleSignatureError, verify, verify_any
from secagg.identity import Identity

IDENTITY = Identity(bytes(range(32)))
NONCE = to_base64url(bytes(16))
PATHS = st.from_regex(r"/v1/[A-Za-z0-9/_.~%20-]{0,20}", fullmatch=True).filter(lambda text: "%" not in text)
QUERIES = st.from_regex(r"[A-Za-z0-9=&_.~-]{0,20}", fullmatch=True)


def signed(method: str, url: str, body: bytes = b"", *, created: int | None = None) -> RequestHead:
    head = RequestHead(method, url, CIMultiDict())
    sign(IDENTITY, head, body, nonce=NONCE, created=int(time.time()) if created is None else created)
    return head


@given(st.sampled_from(["GET", "POST", "PUT", "DELETE"]), PATHS, st.none() | QUERIES, st.binary(max_size=50))
def test_the_library_takes_what_is_signed_here(method, path, query, body):
    head = signed(method, "http://relay" + path + ("" if query is None else f"?{query}"), body)
    found = verify_any(head)
    assert (found.key, found.nonce) == (IDENTITY.public, NONCE)
    assert signing.verify(head) in {None, found}
    assert verify(head) == found


@pytest.mark.parametrize(
    "url", ["http://relay/v1/messages?after=0&wait=25", "https://relay.example.org:8443/v1/sites", "http://h/"]
)
def test_requests_of_a_client_need_no_library(url):
    assert isinstance(signing.verify(signed("GET", url)), Signed)


@given(st.data())
def test_what_is_accepted_here_the_library_accepts(data):
    """Characters are changed, taken out, repeated; fields come twice; the request is another one."""
    head = signed("POST", "http://relay/v1/runs/8/messages?to=abc", b"body")
    headers = head.headers
    name = data.draw(st.sampled_from(sorted(headers)))
    text = headers[name]
    at = data.draw(st.integers(0, len(text)))
    changes = st.sampled_from(
        ["", " ", "0", "=", ":", ";", "A", '"', text[at : at + 1] * 2, text[at : at + 1].swapcase()]
    )
    headers[name] = text[:at] + data.draw(changes) + text[at + 1 :]
    if data.draw(st.booleans()):
        headers.add(name, text)
    url = data.draw(st.sampled_from([head.url, head.url + "&x=1", "http://relay/v1/runs/9/messages?to=abc", "/v1"]))
    changed = RequestHead(data.draw(st.sampled_from(["POST", "PUT", "post"])), url, headers)
    found = signing.verify(changed)
    if found is not None:
        assert verify_any(changed) == found
        assert (changed.method, url) == (head.method, head.url)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("created=", "created=0"),
        ('alg="ed25519"', 'alg="ed25519";expires=1'),
        ('"@method" "@authority"', '"@authority" "@method"'),
        ('"@query"', '"@query";req'),
        ('tag="secagg-relay"', 'tag="another"'),
        ("secagg=", "other="),
        (";keyid", ";  keyid"),
    ],
)
def test_another_form_is_the_library_s(old, new):
    head = signed("GET", "http://relay/v1/sites")
    head.headers["Signature-Input"] = head.headers["Signature-Input"].replace(old, new)
    assert signing.verify(head) is None


@pytest.mark.parametrize("shift", [-signing.WINDOW_S - 3, signing.WINDOW_S + 3])
def test_a_stale_signature_is_said_to_be_stale(shift):
    head = signed("GET", "http://relay/v1/sites", created=int(time.time()) + shift)
    assert signing.verify(head) is None
    with pytest.raises(StaleSignatureError):
        verify(head)


def test_a_key_of_small_order_signs_nothing():
    head = signed("GET", "http://relay/v1/sites")
    weak = to_base64url(bytes(32))
    head.headers["Signature-Input"] = head.headers["Signature-Input"].replace(to_base64url(IDENTITY.public), weak)
    assert signing.verify(head) is None
    with pytest.raises(HTTPMessageSignaturesException):
        verify(head)
