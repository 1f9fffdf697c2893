"""The files of a deployment: linted with their vendors' tools, and compared with the relay's actual behaviour.

The image and the compose file are not run here, since they need a container engine. They are parsed and checked for the
rules below.
"""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import relay
from relay.server.core.config import RelayConfig
from tests.support.relay_process import RelayProcess
from tests.support.relay_scene import Scene

DEPLOY = Path(relay.__file__).parent / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
ALERTS = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
DASHBOARD = json.loads((DEPLOY / "grafana/relay.json").read_text())
RUNBOOK = (DEPLOY / "runbook.md").read_text()

_FUNCTIONS = {"process", "secagg_relay"}


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*command: str | Path, cwd: Path = DEPLOY) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False)


def metrics_of(expression: str) -> set[str]:
    return set(re.findall(r"\b((?:secagg_relay|process)_[a-z_]+)", expression)) - _FUNCTIONS


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_a_unit_is_hardened(unit):
    done = run(tool("systemd-analyze"), "security", "--offline=yes", "--threshold=15", "--no-pager", unit)
    assert done.returncode == 0, done.stdout.splitlines()[-1:]
    assert "MemoryDenyWriteExecute=yes" in unit.read_text()


def test_units_and_timers_are_understood():
    done = run(tool("systemd-analyze"), "verify", "--man=no", *sorted((DEPLOY / "systemd").iterdir()))
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "secagg" in line]
    assert [line for line in lines if "is not executable" not in line] == []  # nothing is installed there


def test_units_call_commands_and_options_that_exist():
    from typer.testing import CliRunner

    from relay.server.commands.cli import app

    for unit in UNITS:
        (line,) = re.findall(r"^ExecStart=/opt/secagg/bin/secagg-relay (.*)$", unit.read_text(), re.MULTILINE)
        words = line.split()
        command = [word for word in words if not word.startswith(("-", "/"))]
        said = CliRunner().invoke(app, [*command, "--help"], terminal_width=200)
        assert said.exit_code == 0, line
        for option in (word for word in words if word.startswith("--")):
            assert option in said.stdout, (line, option)


def test_the_relay_serves_where_memory_is_never_writable_and_executable(tmp_path):
    """As under MemoryDenyWriteExecute=yes."""
    program = (
        "import ctypes, runpy, sys\n"
        "if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0): sys.exit('no PR_SET_MDWE')\n"
        "sys.argv = ['relay', 'serve', '--json', '--port=0', '--admin-port=0', '--data', sys.argv[1]]\n"
        "runpy.run_module('relay', run_name='__main__')\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        ready = process.stdout.readline()
        process.terminate()
        _, said = process.communicate(timeout=30)
    if "no PR_SET_MDWE" in said:
        pytest.skip("this kernel has no PR_SET_MDWE")
    assert process.returncode == 0, said
    assert json.loads(ready)["event"] == "ready"


def test_rules_and_their_tests_by_promtool():
    promtool = tool("promtool")
    for words in (
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts.test.yml"),
        ("check", "config", "prometheus.yml"),
    ):
        done = run(promtool, *words, cwd=DEPLOY / "prometheus")
        assert done.returncode == 0, done.stdout + done.stderr


def test_pages_and_tickets_reach_a_receiver():
    config = yaml.safe_load((DEPLOY / "prometheus/alertmanager.yml").read_text())
    told = {config["route"]["receiver"], *(route["receiver"] for route in config["route"]["routes"])}
    assert told == {receiver["name"] for receiver in config["receivers"]} == {"pages", "tickets"}
    assert {rule["labels"]["severity"] for rule in ALERTS} == {"page", "ticket"}
    done = run(tool("amtool"), "check-config", "alertmanager.yml", cwd=DEPLOY / "prometheus")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_pg_dump_of_the_image_is_the_servers():
    compose = yaml.safe_load((DEPLOY / "container/compose.yaml").read_text())
    (client,) = re.findall(r"postgresql-client-(\d+)", (DEPLOY / "container/Containerfile").read_text())
    assert f"/postgres:{client}-" in compose["services"]["postgres"]["image"]


def test_every_alert_is_shown_firing_and_silent():
    tests = yaml.safe_load((DEPLOY / "prometheus/alerts.test.yml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    firing = {case["alertname"] for case in cases if case["exp_alerts"]}
    silent = {case["alertname"] for case in cases if not case["exp_alerts"]}
    assert firing == silent == {rule["alert"] for rule in ALERTS}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_leads_to_its_page(rule):
    file, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert file == "relay/deploy/runbook.md"
    pages = {heading.lower(): heading for heading in re.findall(r"^### (\w+)$", RUNBOOK, re.MULTILINE)}
    assert pages.get(anchor) == rule["alert"]
    page = RUNBOOK.partition(f"### {rule['alert']}\n")[2].partition("\n###")[0]
    for part in ("**Means.**", "**Look.**", "**Do.**", "**Escalate.**"):
        assert part in page, part
    assert rule["labels"]["severity"] in {"page", "ticket"}


@pytest.fixture(scope="module")
def scraped(tmp_path_factory):
    """The names of all series in the scrape of a relay with TLS and a little traffic."""
    from relay.server.commands import authority

    folder = tmp_path_factory.mktemp("scraped")
    authority.init(folder / "tls", ["localhost"], days=30)
    pair = {"SECAGG_RELAY_TLS_CERTIFICATE": folder / "tls/relay.pem", "SECAGG_RELAY_TLS_KEY": folder / "tls/relay.key"}
    with RelayProcess.start(folder / "data", environment={name: str(path) for name, path in pair.items()}) as process:

        async def scrape() -> str:
            await Scene.on(process)
            assert await process.metric("ready") == 1
            return await process.metrics()

        text = asyncio.run(scrape())
    described = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    return {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")} | described


def test_alerts_and_dashboard_use_metrics_that_exist(scraped):
    used = {name: f"alert {rule['alert']}" for rule in ALERTS for name in metrics_of(rule["expr"])}
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            used |= dict.fromkeys(metrics_of(target["expr"]), f"panel {panel['title']}")
    assert len(used) > 40
    missing = {name: where for name, where in used.items() if not {name, name.removesuffix("_bucket")} & scraped}
    assert missing == {}


def test_the_specification_names_every_metric(scraped):
    section = Path("specs/operations.md").read_text().partition("## 2. Metrics")[2].partition("## 3.")[0]
    named = set(re.findall(r"`([a-z_]+)(?:{[a-z,]+})?`", section))
    ours = {name.removeprefix("secagg_relay_") for name in scraped if name.startswith("secagg_relay_")}
    ours = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name in ours}
    assert {name for name in ours if name not in named and f"{name}_total" not in named} == set()


def test_every_panel_has_its_place():
    boxes = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(boxes)
    cells = [
        (x, y)
        for box in boxes
        for x in range(box["x"], box["x"] + box["w"])
        for y in range(box["y"], box["y"] + box["h"])
    ]
    assert max(x for x, _ in cells) < 24
    assert len(cells) == len(set(cells))


def test_yaml_is_tidy():
    done = run(sys.executable, "-m", "yamllint", "--strict", "-c", ".yamllint.yml", ".")
    assert done.returncode == 0, done.stdout


def test_the_compose_file_names_what_is_there():
    """No engine runs it here: files, secrets, networks, volumes and settings are followed by hand."""
    place = DEPLOY / "container"
    compose = yaml.safe_load((place / "compose.yaml").read_text())
    root = (place / compose["services"]["relay"]["build"]["context"]).resolve()
    assert (root / compose["services"]["relay"]["build"]["dockerfile"]).is_file()
    settings = {f"SECAGG_RELAY_{name}".upper() for name in RelayConfig.model_fields}
    for name, service in compose["services"].items():
        assert "no-new-privileges:true" in service["security_opt"], name
        assert set(service["networks"]) <= set(compose["networks"])
        assert set(service.get("secrets", ())) <= set(compose["secrets"])
        for volume in service["volumes"]:
            source = volume.removesuffix(":ro").rpartition(":")[0]
            known = source in compose["volumes"] or source.startswith("${SECAGG_") or (place / source).exists()
            assert known, volume
        assert "mem_limit" in service, name
        if "build" not in service and service["image"] != compose["services"]["relay"]["image"]:
            assert re.fullmatch(r"[\w./-]+:v?\d[\w.-]+", service["image"]), "an image has a version"
    relay_ = compose["services"]["relay"]
    assert relay_["read_only"]
    assert relay_["cap_drop"] == ["ALL"]
    assert {name.removesuffix("_FILE") for name in relay_["environment"]} <= settings
    for job, words in (("backup", "backup --json"), ("audit", "audit verify --json")):
        service = compose["services"][job]
        assert f"secagg-relay {words};" in service["entrypoint"][-1]
        assert {name.removesuffix("_FILE") for name in service["environment"]} <= settings
        assert "relay-data:/data" in service["volumes"]
    assert compose["networks"]["inside"] == {"internal": True}


def test_the_image_runs_as_nobody_special():
    """The rules of hadolint that matter here, which is not to be had: versions, no cache, user, exec form, health."""
    text = (DEPLOY / "container/Containerfile").read_text()
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    stages = [line for line in lines if line.startswith("FROM ")]
    assert all(re.search(r":\d[\w.-]+( AS \w+)?$", stage) for stage in stages)
    assert lines.index("USER 10001:10001") > lines.index(stages[-1])
    assert all("--no-cache-dir" in line for line in lines if "pip install" in line)
    assert "--require-hashes" in text
    assert not re.search(r"^(ADD|MAINTAINER)\b", text, re.MULTILINE)
    for instruction in ("ENTRYPOINT [", "CMD [", "HEALTHCHECK "):
        assert sum(line.strip().startswith(instruction) for line in lines) >= 1, instruction
    known = {f"SECAGG_RELAY_{name}".upper() for name in RelayConfig.model_fields}
    assert set(re.findall(r"(SECAGG_RELAY_\w+)=", text)) <= known
    for source in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE):
        assert all(Path(path).exists() for path in source.split() if path != "dist/*.whl"), source


def test_the_image_has_the_versions_that_were_tested():
    def pins(path: Path) -> set[str]:
        return set(re.findall(r"^[\w.-]+==[^ ]+", path.read_text(), re.MULTILINE))

    image = pins(DEPLOY / "container/requirements.lock")
    assert {"aiohttp", "sqlalchemy", "asyncpg", "pyrage"} <= {pin.partition("==")[0] for pin in image}
    assert image <= pins(Path("requirements.lock"))
