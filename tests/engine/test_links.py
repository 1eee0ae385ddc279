"""Addresses of pages that a run prints lead there, or there are none."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from urllib.request import urlopen

import dask
import pytest
from distributed import Client, LocalCluster
from rich.console import Console

from distdesc.cli.json_log import JsonLog
from distdesc.cli.progress import ProgressDisplay
from distdesc.engine.doctor.finding import OK, WARNING
from distdesc.engine.events import RunStarted
from distdesc.engine.executors.examination import examine_dashboard
from distdesc.engine.executors.links import Links, WebServer, links, links_of

# Of Dask and its dependencies at shutdown; ours are errors everywhere else.
pytestmark = pytest.mark.filterwarnings("default")

ELSEWHERE = WebServer(True, (("127.0.0.1", 8787),), "another network", "node7")
TUNNEL = "ssh -L 8787:127.0.0.1:8787"
STARTED = RunStarted("run.zarr", 8, 0, 60, 900, 2, "http://127.0.0.1:8787/status")


@pytest.mark.parametrize(
    ("listens", "host", "dashboard", "tunnel"),
    [
        ("127.0.0.1", "10.0.0.7", "http://127.0.0.1:8787/status", f"{TUNNEL} 10.0.0.7"),
        # The scheduler itself was reached by a tunnel: its address is no name of its machine.
        ("127.0.0.1", "127.0.0.1", "http://127.0.0.1:8787/status", f"{TUNNEL} node7"),
        ("0.0.0.0", "127.0.0.1", "http://127.0.0.1:8787/status", f"{TUNNEL} node7"),
        ("::1", "node7.local", "http://[::1]:8787/status", "ssh -L 8787:[::1]:8787 node7.local"),
        ("0.0.0.0", "10.0.0.7", "http://10.0.0.7:8787/status", ""),
        ("0.0.0.0", "distdesc-scheduler", "http://distdesc-scheduler:8787/status", ""),
        ("::", "fe80::7", "http://[fe80::7]:8787/status", ""),
        ("192.168.0.7", "10.0.0.7", "http://192.168.0.7:8787/status", ""),
    ],
)
def test_a_link_leads_from_here_or_says_by_which_tunnel(listens, host, dashboard, tunnel):
    server = replace(ELSEWHERE, listens=((listens, 8787),))
    assert links(server, host, "our network") == Links(dashboard, tunnel)
    assert links(replace(server, dashboard=False), host, "our network") == Links()
    if not listens.startswith("192"):
        assert not links(server, host, server.network).tunnel


def test_an_address_that_others_reach_is_told_rather_than_the_loopback():
    server = replace(ELSEWHERE, listens=(("127.0.0.1", 8787), ("10.0.0.7", 8788)))
    assert links(server, "10.0.0.7", "").dashboard == "http://10.0.0.7:8788/status"


@pytest.mark.cluster
@pytest.mark.parametrize("listens", ["127.0.0.3", "0.0.0.0"])
def test_a_dashboard_on_another_address_of_this_machine_answers_there(listens):
    with (
        LocalCluster(
            n_workers=0, host="127.0.0.2", dashboard_address=f"{listens}:0", processes=True
        ) as cluster,
        Client(cluster.scheduler_address, set_as_default=False) as client,
    ):
        found = links_of(client)
        host = "127.0.0.2" if listens == "0.0.0.0" else listens
        assert found.dashboard.startswith(f"http://{host}:")
        assert found.tunnel == ""
        with urlopen(found.page("health"), timeout=10) as page:
            assert page.read() == b"ok"
        assert examine_dashboard(found).state == OK
        # Where a proxy leads to the dashboard, its address is the one that was set.
        with dask.config.set({"distributed.dashboard.link": "/user/ann/proxy/{port}/status"}):
            proxied = links_of(client)
        assert proxied.dashboard.startswith("/user/ann/proxy/")


@pytest.mark.cluster
def test_a_scheduler_without_a_dashboard_has_no_links():
    with (
        LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address=None) as cluster,
        Client(cluster.scheduler_address, set_as_default=False) as client,
    ):
        assert links_of(client) == Links()
        assert "none" in examine_dashboard(Links()).said


def test_the_doctor_says_how_a_dashboard_is_reached():
    there = examine_dashboard(Links("http://127.0.0.1:8787/status", f"{TUNNEL} node7"))
    assert (there.state, there.advice) == (OK, f"here: {TUNNEL} node7")
    silent = examine_dashboard(Links("http://127.0.0.1:9/status"))
    assert silent.state == WARNING
    advice = "ssh -L 9:127.0.0.1:9 127.0.0.1, and open http://127.0.0.1:9/status"
    assert advice in silent.advice


@pytest.mark.parametrize("tunnel", [None, f"{TUNNEL} node7"])
def test_a_run_prints_and_logs_links_and_the_tunnel_that_they_take(tunnel, tmp_path):
    event = replace(STARTED, page="http://127.0.0.1:8787/campaign", tunnel=tunnel)
    said = io.StringIO()
    with ProgressDisplay(Console(file=said)) as show, JsonLog(tmp_path / "log") as log:
        show(event)
        log(event)
    lines = said.getvalue().splitlines()
    assert "dashboard: http://127.0.0.1:8787/status" in lines
    assert "campaign: http://127.0.0.1:8787/campaign" in lines
    assert (f"reached by: {tunnel}" in lines) == (tunnel is not None)
    logged = json.loads((tmp_path / "log").read_text().splitlines()[0])
    assert logged["tunnel"] == tunnel


def test_a_run_without_a_dashboard_prints_no_links():
    said = io.StringIO()
    with ProgressDisplay(Console(file=said)) as show:
        show(replace(STARTED, dashboard=None))
    assert "http" not in said.getvalue()
    assert "2 workers" in said.getvalue()
