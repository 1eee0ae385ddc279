"""What is in deploy/ fits the schemas it is for, the options that there are, and its own rules."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import click
import kubernetes_validate
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from distdesc.campaign import Campaign
from distdesc.cli import cli

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
OVERLAYS = ["base", "shared-volume", "object-store", "operator"]
SCRIPTS = [f for f in sorted(DEPLOY.rglob("*")) if f.suffix in (".sh", ".sbatch")]
TEXTS = [f for f in sorted(DEPLOY.rglob("*")) if f.suffix in (".sh", ".sbatch", ".md")]


def rendered(overlay: str) -> list[dict]:
    """Objects of an overlay, as kubectl applies them."""
    if not shutil.which("kubectl"):
        pytest.skip("there is no kubectl to render overlays with")
    done = subprocess.run(
        ["kubectl", "kustomize", str(KUBERNETES / overlay)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def pods(objects: list[dict]) -> dict[str, dict]:
    """Specifications of pods, by what they are for."""
    found = {}
    for thing in objects:
        spec = thing.get("spec", {})
        if thing["kind"] in ("Deployment", "Job"):
            name = thing["metadata"]["name"].removeprefix("distdesc-")
            found[name] = spec["template"]["spec"]
        elif thing["kind"] == "DaskCluster":
            found |= {role: spec[role]["spec"] for role in ("scheduler", "worker")}
    return found


def check_command(arguments: list[str]) -> click.Context:
    """Whether a command line of distdesc can be parsed; nothing is run."""
    command = cli.commands[arguments[0]]
    return command.make_context(arguments[0], list(arguments[1:]))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_fits_the_schemas_of_kubernetes(overlay):
    for thing in rendered(overlay):
        if thing["kind"] == "DaskCluster":
            assert thing["apiVersion"] == "kubernetes.dask.org/v1"
            assert set(thing["spec"]) == {"worker", "scheduler"}
            for name, spec in pods([thing]).items():
                pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
                kubernetes_validate.validate(pod, "1.32", strict=True)
        else:
            kubernetes_validate.validate(thing, "1.32", strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS[1:])
def test_an_overlay_has_a_scheduler_workers_and_a_client(overlay):
    assert set(pods(rendered(overlay))) == {"scheduler", "worker", "client"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_have_no_rights_that_they_do_not_need(overlay):
    for pod in pods(rendered(overlay)).values():
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        for container in pod["containers"]:
            rights = container["securityContext"]
            assert rights["readOnlyRootFilesystem"] is True
            assert rights["allowPrivilegeEscalation"] is False
            assert rights["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
            assert "--tls" in " ".join(container["args"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_commands_of_pods_have_options_that_there_are(overlay):
    for role, pod in pods(rendered(overlay)).items():
        for container in pod["containers"]:
            context = check_command(container["args"])
            assert context.info_name == {"client": "run"}.get(role, role)
            if role == "worker":
                grace = int(str(context.params["grace"]).removesuffix("s"))
                assert pod["terminationGracePeriodSeconds"] > grace
                limit = float(container["resources"]["limits"]["memory"].removesuffix("Gi"))
                assert context.params["memory"] < limit


def test_every_file_that_a_pod_mounts_is_there():
    for overlay in OVERLAYS:
        for pod in pods(rendered(overlay)).values():
            volumes = {v["name"] for v in pod["volumes"]}
            for container in pod["containers"]:
                assert {m["name"] for m in container["volumeMounts"]} <= volumes


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_who_may_talk_to_pods_is_limited(overlay):
    kinds = [thing["kind"] for thing in rendered(overlay)]
    assert "NetworkPolicy" in kinds
    assert "Service" not in kinds or all(
        thing["spec"].get("type", "ClusterIP") == "ClusterIP"
        for thing in rendered(overlay)
        if thing["kind"] == "Service"
    )


def test_workers_have_a_disruption_budget():
    budgets = [t for t in rendered("shared-volume") if t["kind"] == "PodDisruptionBudget"]
    workers = next(
        t for t in rendered("shared-volume") if t["metadata"]["name"] == "distdesc-worker"
    )
    labels = budgets[0]["spec"]["selector"]["matchLabels"]
    assert labels.items() <= workers["spec"]["template"]["metadata"]["labels"].items()


def test_the_campaign_of_the_manifests_is_one(monkeypatch):
    monkeypatch.setenv("DISTDESC_RUNS", "/runs")
    text = (KUBERNETES / "base" / "job.toml").read_text()
    smoke = tomllib.loads((ROOT / "jobs" / "smoke.toml").read_text())
    data = tomllib.loads(text)
    assert data["source"]["path"] == "/opt/distdesc/jobs/data/smoke.xyz"
    for section in ("descriptor", "stage"):
        assert data[section] == smoke[section]
    data["source"]["path"] = str(ROOT / "jobs" / "data" / "smoke.xyz")
    assert Campaign.from_dict(data).question == smoke["question"]


def test_the_compose_file_fits_its_schema():
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec",
         str(DEPLOY / "compose" / "compose.yaml")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_commands_of_the_compose_file_have_options_that_there_are():
    services = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())["services"]
    for name, role in (("scheduler", "scheduler"), ("worker", "worker"), ("client", "run")):
        assert check_command(services[name]["command"]).info_name == role
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
    assert services["scheduler"]["ports"] == ["127.0.0.1:8787:8787"]


def test_volumes_are_prepared_with_no_more_rights_than_that_takes():
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("root gives rights away, by setpriv")
    services = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())["services"]
    prepare = services["prepare"]
    rights = "".join(f",+{right.lower()}" for right in prepare["cap_add"])
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        volumes = [Path(folder, name) for name in ("runs", "tls")]
        command = prepare["command"][0].replace("distdesc certs", "mkdir")
        for volume in volumes:
            volume.mkdir()
            command = command.replace(f"/{volume.name}", str(volume))
        for _ in range(2):
            done = subprocess.run(
                ["setpriv", "--inh-caps=-all", f"--bounding-set=-all{rights}", "sh", "-c", command],
                capture_output=True, text=True,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
        assert {f.stat().st_uid for f in (*volumes, volumes[1] / "certs")} == {10001}


def test_the_dockerfile_copies_what_there_is_and_runs_as_nobody():
    text = (DEPLOY / "compose" / "Dockerfile").read_text()
    copied = [w for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.M)
              for w in line.split()[:-1] if not w.startswith("--")]  # fmt: skip
    assert copied
    for name in copied:
        assert (ROOT / name).exists(), name
    assert re.findall(r"^USER (.*)$", text, re.M) == ["10001:10001"]


def test_the_requirements_of_the_image_are_pinned_and_are_those_of_the_package():
    text = (DEPLOY / "compose" / "requirements.txt").read_text()
    pinned = {}
    for block in re.split(r"\n(?=\S)", re.sub(r"(?m)^\s*#.*\n", "", text)):
        if not block.strip():
            continue
        assert "--hash=sha256:" in block, block
        requirement = Requirement(block.partition("\\")[0].strip())
        pinned[requirement.name] = str(requirement.specifier).removeprefix("==")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [e for k in ("tls", "s3", "prometheus") for e in extras[k]]
    for line in (*project["dependencies"], *wanted):
        needed = Requirement(line)
        version = pinned[canonicalize_name(needed.name)]
        assert needed.specifier.contains(version, prereleases=True), line


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda f: f.relative_to(DEPLOY).as_posix())
def test_a_script_is_clean(script):
    if not shutil.which("shellcheck"):
        pytest.skip("there is no shellcheck")
    done = subprocess.run(["shellcheck", str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("text", TEXTS, ids=lambda f: f.relative_to(DEPLOY).as_posix())
def test_a_text_names_options_that_there_are(text):
    lines = re.sub(r"\\\n\s*", " ", text.read_text())
    for name, rest in re.findall(r"(?m)\bdistdesc ([a-z]+)\b([^`&|;)\n]*)", lines):
        if name not in cli.commands:
            continue
        known = {o for p in cli.commands[name].params for o in (*p.opts, *p.secondary_opts)}
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", rest):
            assert option in known, f"{text.name}: distdesc {name} {option}"


@pytest.mark.parametrize(
    "readme", sorted(DEPLOY.rglob("README.md")), ids=lambda f: f.relative_to(DEPLOY).as_posix()
)
def test_links_of_a_readme_lead_somewhere(readme):
    for target in re.findall(r"\]\(([^)#]+)\)", readme.read_text()):
        if "://" not in target:
            assert (readme.parent / target).exists(), target


def test_elastic_clusters_explain_themselves():
    pytest.importorskip("dask_jobqueue")
    done = subprocess.run(
        [sys.executable, str(DEPLOY / "slurm" / "elastic.py"), "--help"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "grows while there is work" in done.stdout
