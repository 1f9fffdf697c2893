"""Fuzz the relay's interface from its own description: python -m tests.fuzz.api [--cases N] [--seconds S] [--seed S].

schemathesis generates valid and invalid requests for every endpoint from the served OpenAPI document; each is signed by
somebody in some role and may name existing objects. Every response must have a status and form that the description
declares, and never be a 5xx.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from requests.auth import AuthBase
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from relay.api.signing import RequestHead, sign
from relay.api.states import MemberState
from relay.api.wire import EVERYONE, to_base64url
from relay.server.store import projects, sites
from secagg.identity import Identity
from tests.support.relay_process import RelayProcess
from tests.support.relay_requests import new_nonce
from tests.support.relay_scene import Scene

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
UNLIMITED = {"SECAGG_RELAY_RATE_PER_SITE": "1000000", "SECAGG_RELAY_LOG_LEVEL": "warning"}
IN_TURN = 100
ROLES = ("coordinator", "first", "second", "outsider", "rival", "operator", "auditor", "stranger", "nobody")


class Signed(AuthBase):
    """Signs a request in the form in which it is about to be sent."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body or b""
        data = body.encode() if isinstance(body, str) else body
        head = RequestHead(request.method or "", request.url or "", {})
        sign(self._identity, head, data, nonce=new_nonce(), created=int(time.time()))
        request.headers.update(head.headers)
        return request


@dataclass
class Stage:
    """A scene of its own for one endpoint, as requests may end or close all that is in it."""

    scene: Scene
    people: dict[str, Identity] = field(default_factory=dict)
    real: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    async def on(cls, relay: RelayProcess) -> "Stage":
        scene = await Scene.on(relay)
        stage = cls(scene)
        stage.people = {who: getattr(scene, who) for who in ROLES[:5]}
        stage.people |= {who: Identity(os.urandom(32)) for who in ("operator", "auditor", "stranger")}
        others = [Identity(os.urandom(32)) for _ in range(4)]

        def enrol(db: Any) -> None:
            for who, role in [(stage.people[who], who) for who in ("operator", "auditor")] + [
                (x, "site") for x in others
            ]:
                sites.add(db, key=who.public, name=uuid4().hex, role=role, now=time.time())
            projects.invite(
                db, project=scene.project, site=scene.outsider.public, now=time.time(), state=MemberState.INVITED
            )

        relay.transact(enrol)
        data = os.urandom(1000)
        async with scene.client(scene.coordinator) as lead, scene.client(stage.people["operator"]) as office:
            blob = await lead.upload(scene.run, data, size=len(data), digest=sha256(data).digest(), to=None)
            message = await lead.post_message(scene.run, None, scene.frame(scene.coordinator), blob)
            token, _ = await office.create_token("site", "x", 3600)
        begun = await asyncio.to_thread(
            requests.post,
            f"{relay.url}/v1/runs/{scene.run}/blobs",
            json={"size": 100, "digest": to_base64url(os.urandom(32)), "to": EVERYONE},
            auth=Signed(scene.coordinator),
            timeout=30,
        )
        stage.real = {
            "project": [str(scene.project)],
            "run": [str(scene.run)],
            "blob": [blob, begun.json()["id"]],
            "payload": [blob],
            "message": [str(message)],
            "token": [str(token.id)],
            "key": [to_base64url(one.public) for one in (*others, scene.first)],
            "to": [EVERYONE, to_base64url(scene.coordinator.public), to_base64url(scene.first.public)],
        }
        return stage


def fuzz(relay: RelayProcess, *, cases: int, until: float, number: int, share: slice = slice(None)) -> Counter[str]:
    """Send requests, as many to each endpoint; returns how often each status came.

    Args:
        relay: is asked for its description, and then for everything in it.
        cases: how many requests, if all endpoints are in the share.
        until: monotonic time at which to stop.
        number: the seed.
        share: which of the endpoints.

    Raises:
        AssertionError: an answer is not as it must be; holds the request.
    """
    described = requests.get(f"{relay.url}/v1/openapi.json", timeout=30).json()
    schema = schemathesis.openapi.from_dict(described)
    operations = [found.ok() for found in schema.get_all_operations()]
    counts: Counter[str] = Counter()
    left = max(1, cases // len(operations))
    with requests.Session() as session:
        while left > 0 and time.monotonic() < until:  # all endpoints in turn, so that none is left out by the clock
            for operation in operations[share]:
                stage = asyncio.run(Stage.on(relay))
                _fuzz_one(operation, stage, session, min(left, IN_TURN), until, number + left, counts)
            left -= IN_TURN
    return counts


def _fuzz_one(
    operation: Any, stage: Stage, session: requests.Session, most: int, until: float, number: int, counts: Counter[str]
) -> None:
    made = operation.as_strategy(GenerationMode.POSITIVE) | operation.as_strategy(GenerationMode.NEGATIVE)

    @seed(number)
    @settings(
        max_examples=most,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=made, who=st.sampled_from(ROLES), real=st.booleans(), data=st.data())
    def run(case: Any, who: str, real: bool, data: Any) -> None:
        if time.monotonic() > until:
            return
        if real:
            for part in (case.path_parameters, case.query):
                for name in set(part or ()) & set(stage.real):
                    part[name] = data.draw(st.sampled_from(stage.real[name]))
            case.body = _fitting_body(case, stage, who, data)
        _do_not_wait(case.query)
        auth = None if who == "nobody" else Signed(stage.people[who])
        answer = case.call(base_url=stage.scene.relay.url, session=session, auth=auth, timeout=60)
        counts[f"{operation.definition.raw['operationId']} {answer.status_code}"] += 1
        case.validate_response(answer, checks=CHECKS)

    if time.monotonic() < until:
        run()


def _fitting_body(case: Any, stage: Stage, who: str, data: Any) -> Any:
    """A frame of the signer where one is expected: random bytes never are one."""
    if urlsplit(case.path).path.endswith("/messages") and case.method.upper() == "POST" and who in stage.people:
        header = {"kind": data.draw(st.integers(0, 255)), "round_": data.draw(st.integers(0, 2**32 - 1))}
        return stage.scene.frame(stage.people[who], body=data.draw(st.binary(max_size=200)), **header)
    return case.body


def _do_not_wait(query: Any) -> None:
    """A long poll that waits for nothing finds nothing out."""
    try:
        if query and 0 < float(query.get("wait", "x")) <= 30:
            query["wait"] = "0"
    except (ValueError, TypeError):
        pass


def _fuzz_share(relay: RelayProcess, cases: int, until: float, number: int, share: slice) -> Counter[str]:
    warnings.simplefilter("ignore")  # schemathesis's, on what it cannot generate
    return fuzz(relay, cases=cases, until=until, number=number, share=share)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.api", description="Any request: a declared answer.")
    parser.add_argument("--cases", type=int, default=50_000, help="how many requests (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=1800.0, help="for how long at most (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"), help="decides every request")
    parser.add_argument("--workers", type=int, default=4, help="processes that send (default: %(default)s)")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        RelayProcess.start(Path(folder) / "data", environment=UNLIMITED) as relay,
    ):
        until, workers = started + options.seconds, options.workers
        running = replace(relay, process=None)  # a process has no place in another one
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            shares = [
                pool.submit(_fuzz_share, running, options.cases, until, options.seed, slice(at, None, workers))
                for at in range(workers)
            ]
            counts = sum((share.result() for share in shares), Counter[str]())
        errors = [line for line in relay.log.splitlines() if '"level": "error"' in line]
    statuses: Counter[str] = Counter()
    for name, count in counts.items():
        statuses[name.rpartition(" ")[2]] += count
    for status, count in sorted(statuses.items()):
        print(f"{status} {count:>7}")
    print(f"{counts.total()} requests to {len({name.split()[0] for name in counts})} endpoints in", end=" ")
    print(f"{time.monotonic() - started:.0f} s; {len(errors)} errors in the relay's log")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
