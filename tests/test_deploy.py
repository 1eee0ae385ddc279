"""What is in deploy/ fits the schemas it is for, the options that there are, and its own rules."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
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
from distdesc.cli.errors import CODES, STOPPED

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
OVERLAYS = ["base", "shared-volume", "object-store", "operator"]
SCRIPTS = [f for f in sorted(DEPLOY.rglob("*")) if f.suffix in (".sh", ".sbatch")]
TEXTS = [f for f in sorted(DEPLOY.rglob("*")) if f.suffix in (".sh", ".sbatch", ".md")]


FINAL = sorted({code for _, code in CODES} - {STOPPED})
"""Exit codes after which another try would not help."""


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
    assert services["scheduler"]["ports"] == ["127.0.0.1:${DASHBOARD_PORT:-8787}:8787"]


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


def test_a_job_of_kubernetes_is_not_tried_again_if_that_would_not_help():
    job = yaml.safe_load((KUBERNETES / "base" / "client.yaml").read_text())
    rule = job["spec"]["podFailurePolicy"]["rules"][0]
    assert rule["action"] == "FailJob"
    assert rule["onExitCodes"]["values"] == FINAL


@pytest.mark.parametrize("name", ["campaign.sbatch", "array.sbatch"])
def test_a_script_of_slurm_knows_after_which_exit_codes_it_is_over(name):
    text = (DEPLOY / "slurm" / name).read_text()
    assert f"\n{' | '.join(map(str, [0, *FINAL]))}) " in text


class Commands:
    """Commands that stand in for what a script calls, each of which is told what to do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, name: str, *lines: str) -> None:
        file = self.folder / name
        file.write_text("\n".join(["#!/usr/bin/env bash", *lines]))
        file.chmod(0o755)

    def environment(self, **variables: str) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_")}
        return inherited | variables | {"PATH": f"{self.folder}:{os.environ['PATH']}"}


@pytest.mark.parametrize(
    ("code", "again"), [(0, False), (2, False), (4, False), (5, True), (6, False), (130, True)]
)
def test_a_part_of_an_array_that_is_told_to_end_goes_back_into_the_queue_if_that_helps(
    tmp_path, code, again
):
    commands = Commands(tmp_path)
    commands.add(
        "distdesc", f"echo \"$@\" >{tmp_path}/said", f"trap 'exit {code}' TERM",
        f"touch {tmp_path}/begun", "while :; do /bin/sleep 0.01; done",
    )  # fmt: skip
    commands.add("scontrol", f'echo "$@" >{tmp_path}/requeued')
    commands.add("sleep")
    part = subprocess.Popen(
        ["bash", DEPLOY / "slurm" / "array.sbatch", "job.toml", "--wait"],
        env=commands.environment(
            SLURM_ARRAY_JOB_ID="7", SLURM_ARRAY_TASK_ID="3", SLURM_ARRAY_TASK_COUNT="9",
            SLURM_MEM_PER_NODE="4096",
        ),
    )  # fmt: skip
    while not (tmp_path / "begun").exists():
        assert part.poll() is None
        time.sleep(0.01)
    part.terminate()
    assert part.wait(timeout=30) == code
    said = (tmp_path / "said").read_text().split()
    assert said == "run --memory 3.6 job.toml --wait --executor serial --shards 3/9".split()
    check_command(said)
    requeued = tmp_path / "requeued"
    assert (requeued.read_text() if requeued.exists() else "") == ("requeue 7_3\n" if again else "")


@pytest.mark.parametrize(
    ("scheduler", "worker", "run", "code", "given_up"),
    [(0, 6, 5, 5, True), (0, 255, 6, 6, False), (0, 5, 0, 0, False), (6, 0, 0, 6, False)],
)
def test_hosts_whose_workers_would_fail_again_are_given_up_and_exit_codes_passed_on(
    tmp_path, scheduler, worker, run, code, given_up
):
    commands = Commands(tmp_path)
    listens = "while :; do case $1 in --scheduler-file) echo >$2 x; break ;; esac; shift; done"
    commands.add(
        "distdesc",
        "case $1 in",
        "certs) mkdir $2 ;;",
        f"scheduler) [ {scheduler} = 0 ] || exit {scheduler}",
        f"    {listens}; trap 'exit 0' TERM; while :; do /bin/sleep 0.01; done ;;",
        f"run) until [ -e {tmp_path}/tried ]; do /bin/sleep 0.01; done; exit {run} ;;",
        "esac",
    )
    commands.add("ssh", f"echo once >>{tmp_path}/tried", f"exit {worker}")
    commands.add("sleep", "exec /bin/sleep 0.05")
    (tmp_path / "hosts.txt").write_text("node1 1\n")
    done = subprocess.run(
        [DEPLOY / "ssh" / "run.sh", tmp_path / "hosts.txt", "job.toml"],
        env=commands.environment(RUN=f"{tmp_path}/run", HOST="127.0.0.1", SSH="ssh"),
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    log = tmp_path / "run" / "node1.log"
    assert ("node1: given up" in log.read_text() if log.exists() else False) == given_up


def functions_of_memory(script: Path) -> str:
    """Functions of a script of Slurm that say how much memory a worker has."""
    found = re.findall(r"(?ms)^(?:memory|here)\(\) \{.*?^\}\n", script.read_text())
    assert len(found) == 2, script
    return "".join(found)


def test_scripts_of_slurm_know_the_memory_of_a_worker_by_the_same_function():
    texts = {functions_of_memory(s) for s in (DEPLOY / "slurm").glob("*.sbatch")}
    assert len(texts) == 1


NODE = {
    "proc/meminfo": "MemTotal:       67108864 kB\nMemFree:        1024 kB\n",  # 64 GiB
    "proc/cpuinfo": "".join(f"processor\t: {k}\nmodel name\t: x\n\n" for k in range(16)),
    "proc/self/cgroup": "0::/\n",
}
SHARED = {"SLURM_JOB_CPUS_PER_NODE": "16(x2),4", "SLURM_TASKS_PER_NODE": "8(x2),2"}
SECOND = {
    "proc/self/cgroup": "0::/slurm/job_7/step_0/task_1\n",
    "sys/fs/cgroup/slurm/job_7/step_0/memory.max": "max\n",
    "sys/fs/cgroup/slurm/job_7/memory.max": f"{16 * 2**30}\n",
    "sys/fs/cgroup/slurm/memory.max": f"{60 * 2**30}\n",
}
FIRST = {
    "proc/self/cgroup": "9:cpuset:/\n4:memory:/slurm/uid_0/job_7\n1:name=systemd:/x\n",
    "sys/fs/cgroup/memory/slurm/uid_0/job_7/memory.limit_in_bytes": f"{8 * 2**30}\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
}


@pytest.mark.parametrize(
    ("variables", "files", "workers", "memory"),
    [
        ({"SLURM_MEM_PER_CPU": "4096"}, {}, 1, 4),
        ({"SLURM_MEM_PER_CPU": "4096", "SLURM_CPUS_PER_TASK": "8"}, {}, 8, 4),
        ({"SLURM_MEM_PER_CPU": "4096", "SLURM_CPUS_PER_TASK": "2", **SHARED}, {}, 1, 8),
        ({"SLURM_MEM_PER_NODE": "32768", **SHARED}, {}, 1, 4),
        ({"SLURM_MEM_PER_NODE": "32768", **SHARED, "SLURM_NODEID": "2"}, SECOND, 1, 16),
        ({"SLURM_MEM_PER_NODE": "32768", "SLURM_NTASKS_PER_NODE": "4"}, {}, 2, 4),
        # Nothing is granted: what the job has of the node, among its tasks there.
        ({"SLURM_MEM_PER_NODE": "0", **SHARED}, {}, 1, 8),
        ({**SHARED, "SLURM_NODEID": "1"}, {}, 1, 8),
        ({**SHARED, "SLURM_NODEID": "2"}, {}, 1, 8),
        ({**SHARED, "SLURM_STEP_TASKS_PER_NODE": "4(x3)"}, {}, 1, 16),
        ({"SLURM_NTASKS_PER_NODE": "4"}, {}, 1, 16),
        ({"SLURM_CPUS_PER_TASK": "8", "SLURM_JOB_CPUS_PER_NODE": "8"}, {}, 8, 4),
        ({"SLURM_JOB_CPUS_PER_NODE": "32"}, {}, 1, 64),
        ({}, {}, 1, 64),
        # A control group allows less, its own or one above.
        (SHARED, SECOND, 1, 2),
        (SHARED, FIRST, 1, 1),
        ({"SLURM_JOB_CPUS_PER_NODE": "2"}, SECOND, 1, 8),
    ],
)
def test_a_worker_of_slurm_takes_nine_tenths_of_its_share_of_memory(
    tmp_path, variables, files, workers, memory
):
    for name, text in {**NODE, **files}.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    functions = functions_of_memory(DEPLOY / "slurm" / "campaign.sbatch")
    done = subprocess.run(
        ["bash", "-c", f'set -euo pipefail\n{functions}\nmemory "$@"', "memory", str(workers),
         str(tmp_path)],
        env={"PATH": os.environ["PATH"], **variables}, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert float(done.stdout) == pytest.approx(0.9 * memory, rel=1e-4)
