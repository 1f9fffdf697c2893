"""A hospital's connection: a proxy with a password, a private authority, IPv6; each lost and restored."""

import asyncio
import os
import socket
import time

import pytest

from relay.client.transport import RelayClient
from relay.server.commands import authority
from relay.server.store import audit
from tests.support.connect_proxy import ConnectProxy
from tests.support.relay_process import RelayProcess
from tests.support.relay_scene import Scene


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_what_is_said_through_a_proxy_that_comes_and_goes_is_said_once(tmp_path, host):
    """Recipe 11: answers are lost with the proxy, and what was posted is there once."""
    if host == "::1" and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    authority.init(tmp_path / "tls", [host], days=30)
    pair = {name: str(tmp_path / f"tls/relay.{end}") for name, end in (("CERTIFICATE", "pem"), ("KEY", "key"))}
    environment = {f"SECAGG_RELAY_TLS_{name}": path for name, path in pair.items()}
    with RelayProcess.start(tmp_path / "relay", "--host", host, environment=environment) as relay:
        scene = await Scene.on(relay)
        place = f"[{host}]" if ":" in host else host
        async with ConnectProxy.on(host=host, password=os.urandom(8).hex()) as proxy:
            line = {"ca_file": tmp_path / "tls/ca.pem", "proxy": proxy.url, "give_up_after_s": 3600.0}
            url = f"https://{place}:{relay.port}"
            async with (
                RelayClient(url, scene.first, **line) as site,
                RelayClient(url, scene.coordinator, **line) as lead,
            ):
                to, said, heard = scene.coordinator.public, [], []

                async def speak() -> None:
                    for number in range(40):
                        frame = scene.frame(scene.first, round_=number)
                        said.append(await site.post_message(scene.run, to, frame))  # one by one

                async def listen() -> None:
                    while len(heard) < 40:
                        heard.extend(await lead.messages(heard[-1].id if heard else 0, 30))

                async def pull_the_cable() -> None:
                    for _ in range(3):
                        await asyncio.sleep(0.3)
                        await proxy.cut()
                        await asyncio.sleep(0.5)
                        await proxy.mend()

                began = time.monotonic()
                async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
                    for work in (speak(), listen(), pull_the_cable()):
                        tasks.create_task(work)
                print(f"{time.monotonic() - began:.1f} s with three cuts")
        assert [message.id for message in heard] == said
        assert [message.frame for message in heard] == [scene.frame(scene.first, round_=n) for n in range(40)]
        assert proxy.refused == 0
        assert {target.rpartition(":")[0].strip("[]") for target in proxy.connects} == {host}
        relay.transact(audit.verify)
