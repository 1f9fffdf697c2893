"""Masks removed here, and by one, two and four workers: the same total bit for bit."""

import os
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from dask import config
from distributed import LocalCluster, Security

from coordinator.runs import unmasking
from coordinator.runs.unmasking import ClusterError, OnCluster, here
from secagg.errors import ParameterError
from secagg.masks import Mask
from secagg.params import Schema, Segment
from secagg.protocol.ring_vector import RingVector

LOCAL = {
    "host": "127.0.0.1",
    "protocol": "tcp",
    "threads_per_worker": 1,
    "dashboard_address": "127.0.0.1:0",
    "asynchronous": True,
}
MASKS = [Mask(key=bytes([i]) * 32, negate=i % 3 == 1) for i in range(7)]


def total(bits: int, length: int) -> RingVector:
    schema = Schema(ring_bits=bits, mac_lanes=3, segments=(Segment(count=length, clip=1.0, step=0.1),))
    vector = RingVector.zeros(schema)
    vector.elements[:] = np.arange(length)
    vector.lanes[:] = [5, 6, 7]
    return vector


def facts(vector: RingVector) -> tuple[bytes, bytes]:
    return vector.elements.tobytes(), vector.lanes.tobytes()


async def same_as_here(cluster: OnCluster) -> None:
    for bits, length in [(21, 10_007), (40, 501), (32, 3)]:
        near, far = total(bits, length), total(bits, length)
        far.mask(MASKS)
        await cluster(far, MASKS)
        assert facts(far) == facts(near)
        await cluster(far, MASKS)
        await here(near, MASKS)
        assert facts(far) == facts(near) != facts(total(bits, length))


@pytest.mark.parametrize("workers", [1, 2, 4])
async def test_the_same_total_with_any_number_of_workers(workers):
    async with LocalCluster(n_workers=workers, **LOCAL) as cluster:
        await same_as_here(OnCluster(cluster.scheduler_address))


async def test_workers_behind_tls(tmp_path):
    ca, cert, key = certificate(tmp_path)
    security = Security(
        tls_ca_file=ca,
        tls_scheduler_cert=cert,
        tls_scheduler_key=key,
        tls_worker_cert=cert,
        tls_worker_key=key,
        tls_client_cert=cert,
        tls_client_key=key,
        require_encryption=True,
    )
    async with LocalCluster(n_workers=2, **LOCAL | {"protocol": "tls"}, security=security) as cluster:
        assert cluster.scheduler_address.startswith("tls://")
        await same_as_here(OnCluster(cluster.scheduler_address, Path(ca), Path(cert), Path(key)))


def certificate(folder: Path) -> tuple[str, str, str]:
    """Write a certificate for 127.0.0.1 that is its own authority; return the paths of authority, certificate, key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cluster")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert, secret = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return str(cert), str(cert), str(secret)


async def test_a_cluster_without_workers():
    async with LocalCluster(n_workers=0, **LOCAL) as cluster:
        vector = total(21, 5)
        with pytest.raises(ClusterError, match="no workers"):
            await OnCluster(cluster.scheduler_address)(vector, MASKS)
        assert facts(vector) == facts(total(21, 5))


async def test_a_scheduler_that_is_not_there():
    vector = total(21, 5)
    with (
        config.set({"distributed.comm.timeouts.connect": "200ms"}),
        pytest.raises(ClusterError, match="did not finish"),
    ):
        await OnCluster("tcp://127.0.0.1:9")(vector, MASKS)
    assert facts(vector) == facts(total(21, 5))


async def test_workers_that_die(monkeypatch):
    """Every worker that takes a slice dies of it; the total stays as it was."""
    monkeypatch.setattr(unmasking, "removed", last_words)
    vector = total(21, 50)
    with config.set({"distributed.scheduler.allowed-failures": 0}):
        async with LocalCluster(n_workers=1, **LOCAL) as cluster:
            with pytest.raises(ClusterError, match="did not finish"):
                await OnCluster(cluster.scheduler_address)(vector, MASKS)
    assert facts(vector) == facts(total(21, 50))


def last_words(*_arguments: object) -> None:
    os._exit(1)


@pytest.mark.parametrize(
    "scheduler", ["tcp://10.0.0.5:8786", "10.0.0.5:8786", "", "http://localhost:1", "tls://head:8786"]
)
def test_keys_of_masks_do_not_travel_in_the_clear(scheduler):
    with pytest.raises(ParameterError):
        OnCluster(scheduler)
