"""The files of a site's deployment, compared with the participant's actual behaviour.

The image and the manifest are not run here, since they need a container engine and a cluster. They are parsed and
checked for the rules below. The offline bundle's scripts are run on a small bundle.
"""

import os
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import participant
from participant.commands.cli import app
from participant.policy.rules import Policy
from participant.settings.config import ParticipantConfig

DEPLOY = Path(participant.__file__).parent / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
SETTINGS = {f"SECAGG_PARTICIPANT_{name}".upper() for name in ParticipantConfig.model_fields}


def run(*command: str | Path, cwd: Path = DEPLOY) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def analyze():
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_a_unit_is_hardened(unit, analyze):
    done = run("systemd-analyze", "security", "--offline=yes", "--threshold=15", "--no-pager", unit)
    assert done.returncode == 0, done.stdout.splitlines()[-1:]


def test_units_and_timers_are_understood(analyze):
    done = run("systemd-analyze", "verify", "--man=no", *sorted((DEPLOY / "systemd").iterdir()))
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "secagg" in line]
    assert [line for line in lines if "is not executable" not in line] == []  # nothing is installed there


def test_units_call_commands_and_options_that_exist_and_name_settings_that_exist():
    for unit in UNITS:
        text = unit.read_text()
        (line,) = re.findall(r"^ExecStart=/opt/secagg/bin/secagg-participant (.*)$", text, re.MULTILINE)
        words = line.split()
        command = [word for word in words if not word.startswith(("-", "/")) and not word.isdigit()]
        said = CliRunner().invoke(app, [*command, "--help"], terminal_width=200)
        assert said.exit_code == 0, line
        for option in (word for word in words if word.startswith("--")):
            assert option in said.stdout, (line, option)
        named = {name.removesuffix("_FILE") for name in re.findall(r"(SECAGG_PARTICIPANT_\w+)=", text)}
        assert named <= SETTINGS


def test_no_unit_keeps_the_anchor_with_the_data_or_lets_memory_onto_the_disk():
    for unit in UNITS:
        text = unit.read_text()
        assert "SECAGG_PARTICIPANT_ANCHOR=/var/cache/" in text
        for rule in ("LimitCORE=0", "MemorySwapMax=0", "UMask=0077", "LoadCredential=passphrase:"):
            assert rule in text, (unit.name, rule)


def test_yaml_is_tidy():
    done = run(sys.executable, "-m", "yamllint", "--strict", "-c", ".yamllint.yml", ".")
    assert done.returncode == 0, done.stdout


def test_the_image_runs_as_nobody_special_and_has_the_versions_that_were_tested():
    text = (DEPLOY / "container/Containerfile").read_text()
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    stages = [line for line in lines if line.startswith("FROM ")]
    assert all(re.search(r":\d[\w.-]+( AS \w+)?$", stage) for stage in stages)
    assert lines.index("USER 10002:10002") > lines.index(stages[-1])
    assert "--require-hashes" in text
    assert set(re.findall(r"(SECAGG_PARTICIPANT_\w+)=", text)) <= SETTINGS
    for source in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE):
        assert all(Path(path).exists() for path in source.split() if path != "dist/*.whl"), source

    def pins(path: Path) -> set[str]:
        return set(re.findall(r"^[\w.-]+==[^ ]+", path.read_text(), re.MULTILINE))

    image = pins(DEPLOY / "container/requirements.lock")
    wanted = {
        "aiohttp",
        "polars",
        "numba",
        "cryptography",
        "pymongo",
        "pyreadstat",
        "psycopg",
    }  # and every source of tables
    assert wanted <= {pin.partition("==")[0] for pin in image}
    assert image <= pins(Path("requirements.lock"))


def test_the_manifest_is_restricted_and_its_settings_are_valid(tmp_path):
    """The rules of the Pod Security level "restricted", and one pod a site, that nobody connects to."""
    parts = {part["kind"]: part for part in yaml.safe_load_all((DEPLOY / "kubernetes/participant.yaml").read_text())}
    stateful = parts["StatefulSet"]["spec"]
    pod = stateful["template"]["spec"]
    containers = [*pod["initContainers"], *pod["containers"]]
    assert stateful["replicas"] == 1
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    claims = {claim["metadata"]["name"] for claim in stateful["volumeClaimTemplates"]}
    volumes = {volume["name"] for volume in pod["volumes"]} | claims
    for container in containers:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {env["name"] for env in container["env"]} <= SETTINGS
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
    network = parts["NetworkPolicy"]["spec"]
    assert [rule["ports"] for rule in network["ingress"]] == [[{"protocol": "TCP", "port": 8451}]]  # monitoring alone
    assert set(network["policyTypes"]) == {"Ingress", "Egress"}
    files = parts["ConfigMap"]["data"]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    settings = ParticipantConfig.load(config=tmp_path / "participant.toml")
    assert (str(settings.data), str(settings.anchor)) == ("/data/site", "/anchor/site/count")
    Policy.read(tmp_path / "policy.toml")


@pytest.fixture
def bundle(tmp_path):
    """A bundle as `build.sh` lays it out, of little files; returns the folder and the number of its list."""
    folder = tmp_path / "a bundle"
    (folder / "wheels").mkdir(parents=True)
    (folder / "systemd").mkdir()
    for name in ("verify.sh", "install.sh"):
        shutil.copy(DEPLOY / "offline" / name, folder)
    for name in ("wheels/secagg-0.1.0-py3-none-any.whl", "requirements.lock", "platform", "systemd/x.service"):
        (folder / name).write_text(name)
    return folder, listed(folder)


def listed(folder: Path) -> str:
    line = next(line for line in (DEPLOY / "offline/build.sh").read_text().splitlines() if "SHA256SUMS)" in line)
    subprocess.run(["sh", "-c", f"out='{folder}'; {line}"], check=True)
    return sha256((folder / "SHA256SUMS").read_bytes()).hexdigest()


def test_a_bundle_that_is_whole_is_verified(bundle):
    folder, number = bundle
    done = run(folder / "verify.sh", number)
    assert (done.returncode, done.stdout) == (0, "verify: 6 files, all as built\n"), done.stderr


@pytest.mark.parametrize("replaced", [(), ("verify.sh", "install.sh"), ("verify.sh", "install.sh", "SHA256SUMS")])
def test_the_commands_of_the_readme_need_no_script_of_the_bundle(bundle, replaced):
    """Whoever replaces files replaces the script that would notice; the list anew, and its number is another."""
    folder, number = bundle
    readme = (DEPLOY.parent / "README.md").read_text()
    (line,) = (one.strip() for one in readme.splitlines() if "sha256sum --check" in one)
    for name in replaced:
        if name == "SHA256SUMS":
            listed(folder)
        else:
            (folder / name).write_text("#!/bin/sh\necho 'verify: all as built'\n")
    done = run("sh", "-c", line.replace("NUMBER", number), cwd=folder)
    assert (done.returncode == 0) is (not replaced), done.stderr


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda folder: (folder / "platform").write_text("other"), "altered or missing"),
        (lambda folder: (folder / "requirements.lock").unlink(), "altered or missing"),
        (lambda folder: (folder / "wheels/evil.whl").write_text("x"), "unlisted files"),
        (lambda folder: (folder / "wheels/evil").symlink_to("/etc/passwd"), "unlisted files"),
        (lambda folder: (folder / "platform").write_text("other") and listed(folder), "does not match the list"),
    ],
    ids=["changed", "missing", "added", "linked", "listed anew"],
)
def test_a_bundle_that_is_not_is_refused_and_not_installed(bundle, tmp_path, fault, said):
    folder, number = bundle
    fault(folder)
    done = run(folder / "install.sh", number, tmp_path / "target")
    assert done.returncode == 1
    assert said in done.stderr
    assert not (tmp_path / "target").exists()


def test_a_bundle_for_another_platform_is_not_installed(bundle, tmp_path):
    folder, number = bundle
    done = run(folder / "install.sh", number, tmp_path / "target")
    assert done.returncode == 1
    assert "the bundle is for platform, but this is" in done.stderr
    assert not (tmp_path / "target").exists()


def test_scripts_may_be_run():
    assert all(os.access(script, os.X_OK) for script in (DEPLOY / "offline").glob("*.sh"))
