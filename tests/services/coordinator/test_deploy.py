"""The files of a coordinator's deployment, compared with the standby's actual behaviour.

The image and the manifest are not run here, since they need a container engine and a cluster. They are parsed and
checked for the rules below.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest
import yaml
from prometheus_client import generate_latest
from typer.testing import CliRunner

import coordinator
from coordinator.commands.cli import app
from coordinator.session.config import CoordinatorConfig
from coordinator.session.metrics import CoordinatorMetrics
from coordinator.session.progress import Event
from relay.api.states import RunState

DEPLOY = Path(coordinator.__file__).parent / "deploy"
UNIT = DEPLOY / "systemd/secagg-coordinator-standby.service"
SETTINGS = {f"SECAGG_COORDINATOR_{name}".upper() for name in CoordinatorConfig.model_fields}
ALERTS = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]


def run(*command: str | Path, cwd: Path = DEPLOY) -> subprocess.CompletedProcess[str]:
    if shutil.which(str(command[0])) is None:
        pytest.skip(f"{command[0]} is not installed")
    return subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False)


def test_the_unit_is_hardened_and_understood():
    done = run("systemd-analyze", "security", "--offline=yes", "--threshold=15", "--no-pager", UNIT)
    assert done.returncode == 0, done.stdout.splitlines()[-1:]
    done = run("systemd-analyze", "verify", "--man=no", UNIT)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "secagg" in line]
    assert [line for line in lines if "is not executable" not in line] == []  # nothing is installed there


def test_the_unit_calls_a_command_that_exists_and_names_settings_that_exist():
    text = UNIT.read_text()
    (line,) = re.findall(r"^ExecStart=/opt/secagg/bin/secagg-coordinator (.*)$", text, re.MULTILINE)
    said = CliRunner().invoke(app, [line.split()[0], "--help"], terminal_width=200)
    assert said.exit_code == 0, line
    for option in (word for word in line.split() if word.startswith("--")):
        assert option in said.stdout, (line, option)
    assert {name.removesuffix("_FILE") for name in re.findall(r"(SECAGG_COORDINATOR_\w+)=", text)} <= SETTINGS
    for rule in ("LimitCORE=0", "MemorySwapMax=0", "UMask=0077", "LoadCredential=passphrase:"):
        assert rule in text


def test_yaml_is_tidy():
    done = run(sys.executable, "-m", "yamllint", "--strict", "-c", ".yamllint.yml", ".")
    assert done.returncode == 0, done.stdout


def test_the_image_runs_as_nobody_special_and_has_the_versions_that_were_tested():
    text = (DEPLOY / "container/Containerfile").read_text()
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    stages = [line for line in lines if line.startswith("FROM ")]
    assert all(re.search(r":\d[\w.-]+( AS \w+)?$", stage) for stage in stages)
    assert lines.index("USER 10003:10003") > lines.index(stages[-1])
    assert set(re.findall(r"(SECAGG_COORDINATOR_\w+)=", text)) <= SETTINGS
    for source in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE):
        assert all(Path(path).exists() for path in source.split() if path != "dist/*.whl"), source

    def pins(path: Path) -> set[str]:
        return set(re.findall(r"^[\w.-]+==[^ ]+", path.read_text(), re.MULTILINE))

    image = pins(DEPLOY / "container/requirements.lock")
    assert {"aiohttp", "scipy", "numba", "distributed"} <= {pin.partition("==")[0] for pin in image}
    assert image <= pins(Path("requirements.lock"))


def test_the_manifest_is_restricted_and_its_settings_are_valid(tmp_path):
    parts = {part["kind"]: part for part in yaml.safe_load_all((DEPLOY / "kubernetes/standby.yaml").read_text())}
    pod = parts["StatefulSet"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {env["name"].removesuffix("_FILE") for env in container["env"]} <= SETTINGS
    claims = {claim["metadata"]["name"] for claim in parts["StatefulSet"]["spec"]["volumeClaimTemplates"]}
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted <= {volume["name"] for volume in pod["volumes"]} | claims
    ingress = parts["NetworkPolicy"]["spec"]["ingress"]
    assert [rule["ports"] for rule in ingress] == [[{"protocol": "TCP", "port": 8461}]]  # monitoring alone
    (tmp_path / "coordinator.toml").write_text(parts["ConfigMap"]["data"]["coordinator.toml"])
    assert str(CoordinatorConfig.load(config=tmp_path / "coordinator.toml").data) == "/data/office"


def test_each_alert_fires_and_is_silent_where_it_should_be():
    done = run("promtool", "test", "rules", "alerts.test.yml", cwd=DEPLOY / "prometheus")
    assert done.returncode == 0, done.stdout + done.stderr
    tried = yaml.safe_load((DEPLOY / "prometheus/alerts.test.yml").read_text())["tests"]
    seen = {(rule["alertname"], bool(rule["exp_alerts"])) for test in tried for rule in test["alert_rule_test"]}
    assert seen == {(rule["alert"], fires) for rule in ALERTS for fires in (True, False)}


def values(metrics: CoordinatorMetrics) -> dict[tuple[str, str], float]:
    return {
        (sample.name, str(sample.labels)): sample.value
        for metric in metrics.registry.collect()
        for sample in metric.samples
    }


def test_each_alert_is_of_metrics_that_exist_and_in_the_runbook():
    metrics = CoordinatorMetrics()
    run_id = UUID(int=1)
    show = metrics.watch(run_id, ["glm"], ["north"])
    at_first = values(metrics)
    for what in ("step", "heard", "lost", "refused", "epoch-ready", "round-done", "round-abandoned"):
        show(Event(what, site="north", seconds=1.0))
    metrics.failed("glm")
    metrics.left(run_id, RunState.FAILED)
    counted = {series: value for series, value in values(metrics).items() if series[0].endswith("_total")}
    assert {series: at_first.get(series) for series in counted} == dict.fromkeys(counted, 0)  # born at 0, not at 1
    assert sum(counted.values()) == 7
    exported = generate_latest(metrics.registry).decode()
    runbook, readme = (DEPLOY / "runbook.md").read_text(), (DEPLOY.parent / "README.md").read_text()
    for rule in ALERTS:
        for name in re.findall(r"secagg_coordinator_[a-z_]+", rule["expr"]):
            assert re.search(rf"^{name}[{{ ]", exported, re.MULTILINE), name
        assert f"\n## {rule['alert']}\n" in runbook
        assert rule["annotations"]["runbook_url"] == f"coordinator/deploy/runbook.md#{rule['alert'].lower()}"
    for name in set(re.findall(r"^# TYPE secagg_coordinator_(\w+) ", exported, re.MULTILINE)):
        assert name.endswith("_created") or f"`{name}" in readme or f"{name}{{" in readme, name
