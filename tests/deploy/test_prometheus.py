"""deploy/prometheus and deploy/grafana against promtool, a real Prometheus, and what is really exported."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from src.settings import ROOT
from tests.deploy import tools
from tests.running import Running, free_port, service
from tests.unit.test_metrics import SERIES, observed, samples

_FOLDER = tools.DEPLOY / "prometheus"
_DASHBOARD = json.loads((tools.DEPLOY / "grafana" / "stoker.json").read_text())
# what Prometheus itself adds to every series
_ADDED = {"instance", "job", "le"}


def expressions() -> list[str]:
    """Every expression of the dashboard, with Grafana's variables filled in as Grafana does."""
    found = [target["expr"] for panel in _DASHBOARD["panels"] for target in panel.get("targets", [])]
    return [re.sub(r"\$(instance|model_name)", ".*", text.replace("$__rate_interval", "5m")) for text in found]


def rules() -> list[str]:
    return re.findall(
        r"(?<=expr: ).*?(?=\n +(?:for|labels)|\}\n)", (_FOLDER / "rules" / "alerts.yml").read_text(), re.DOTALL
    )


def exported() -> dict[str, set[str]]:
    """Name → labels of every series on the page, those of the process included."""
    return {name: {label for labels in found for label in labels} for name, found in samples(observed()).items()}


def test_promtool_accepts_the_configuration() -> None:
    """Scrape configuration and both files of rules are valid."""
    done = tools.run(tools.need("promtool"), "check", "config", _FOLDER / "prometheus.yml")
    assert done.returncode == 0, done.stderr


def test_every_alert_fires_when_it_should_and_not_before() -> None:
    """`promtool test rules` on series made for each of the alerts."""
    done = tools.run(tools.need("promtool"), "test", "rules", _FOLDER / "tests" / "alerts.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    tested = (_FOLDER / "tests" / "alerts.yml").read_text()
    alerts = re.findall(r"alert: (\w+)", (_FOLDER / "rules" / "alerts.yml").read_text())
    assert [name for name in alerts if f"alertname: {name}" not in tested] == []


def test_every_alert_has_a_section_in_the_runbook() -> None:
    """`runbook_url` leads to one heading with cause, look and do; no section is without its alert."""
    text = "".join((_FOLDER / "rules" / name).read_text() for name in ("alerts.yml", "slo.yml"))
    alerts = re.findall(r"alert: (\w+)", text)
    assert re.findall(r'runbook_url: "(.+?)"', text) == [f"docs/runbook.md#{name.lower()}" for name in alerts]
    sections = (ROOT / "docs" / "runbook.md").read_text().split("\n## ")[1:]
    assert sorted(section.splitlines()[0] for section in sections) == sorted(alerts)
    parts = ("**Cause.**", "**Look.**", "**Do.**")
    assert [section[:20] for section in sections if any(part not in section for part in parts)] == []


def test_the_objectives_are_recorded_from_what_is_exported() -> None:
    """Their series exist; the burn rate fires at 14 times the budget and not at ten."""
    rules = (_FOLDER / "rules" / "slo.yml").read_text()
    assert set(re.findall(r"stoker_\w+(?=[\[{])", rules)) <= set(exported())
    assert 'le="5.0"' in rules
    assert [one for one in samples(observed())["stoker_time_to_first_token_seconds_bucket"] if one["le"] == "5.0"]
    done = tools.run(tools.need("promtool"), "test", "rules", _FOLDER / "tests" / "slo.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_expression_of_the_dashboard_is_valid(folder: Path) -> None:
    """Each panel's expression parses as PromQL."""
    records = "".join(
        f"      - {{record: 'panel:{at}', expr: {json.dumps(text)}}}\n" for at, text in enumerate(expressions())
    )
    (folder / "panels.yml").write_text(f"groups:\n  - name: panels\n    rules:\n{records}")
    done = tools.run(tools.need("promtool"), "check", "rules", folder / "panels.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(expressions()) > 50


@pytest.mark.parametrize("text", [*expressions(), *rules()])
def test_what_is_shown_and_alerted_on_is_exported(text: str) -> None:
    """Every metric exists under that name, with every label that is matched or grouped by."""
    known = exported()
    names = set(re.findall(r"\b(?:stoker|process)_\w+", text))
    assert names <= set(known), names - set(known)
    for name, matchers in re.findall(r"\b((?:stoker|process)_\w+)\{([^}]*)\}", text):
        labels = set(re.findall(r"(\w+)(?:=~|!~|!=|=)", matchers))
        assert labels <= known[name] | _ADDED, (name, labels)
    grouped = {label.strip() for group in re.findall(r"by \(([^)]*)\)", text) for label in group.split(",")}
    assert grouped <= set().union(*(known[name] for name in names)) | _ADDED


def test_every_recorded_vllm_name_stands_on_a_metric_of_ours() -> None:
    """The recording rules name series that exist, and no metric of vLLM's list that we have is left out."""
    pairs = re.findall(r'record: "vllm:(\w+)", expr: (\w+)', (_FOLDER / "rules" / "vllm.yml").read_text())
    assert [ours for _, ours in pairs if ours not in exported()] == []
    latencies = {n for n in SERIES if n.endswith("_seconds_count") and SERIES[n] == {"model_name", "engine"}}
    assert {name.removeprefix("stoker_") for name in latencies} <= {theirs for theirs, _ in pairs}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, str]]:
    """A service with a key, and a Prometheus on our files that scrapes it with that key every 3 s."""
    program, port, folder = tools.need("prometheus"), free_port(), tmp_path_factory.mktemp("prometheus")
    key = "sk-prometheus-0123456789"
    (folder / "key").write_text(key)
    with service(inference_engine="fake", ocr_workers=0, api_keys=f"prometheus:metrics:{key}") as running:
        text = (_FOLDER / "prometheus.yml").read_text().replace("127.0.0.1:8000", f"127.0.0.1:{running.port}")
        text = text.replace("15s", "3s").replace("rules/", f"{folder}/").replace("    # auth", "    auth")
        text = text.replace(
            "    #   credentials_file: /etc/prometheus/stoker.key", f"      credentials_file: {folder}/key"
        )
        (folder / "prometheus.yml").write_text(text)
        for name in ("alerts.yml", "vllm.yml"):
            rule = (_FOLDER / "rules" / name).read_text()
            (folder / name).write_text(re.sub(r"for: \d+m", "for: 0s", rule))
        argv = [program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        with tools.started([*argv, f"--web.listen-address=127.0.0.1:{port}"], port, folder):
            yield running, f"http://127.0.0.1:{port}"


def eventually(question: Callable[[], Any], timeout_s: float = 30) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (answer := question()) and time.monotonic() < deadline:
        time.sleep(0.3)
    return answer


def query(prometheus: str, text: str) -> list[dict[str, Any]]:
    reply = httpx.get(f"{prometheus}/api/v1/query", params={"query": text}, timeout=10)
    result: list[dict[str, Any]] = reply.json()["data"]["result"]
    return result


@pytest.mark.e2e
def test_prometheus_scrapes_and_records(watched: tuple[Running, str]) -> None:
    """The target is up with its key, our series and vLLM's names arrive."""
    _, prometheus = watched
    assert eventually(lambda: query(prometheus, "stoker_engine_up == 1"))
    assert eventually(lambda: query(prometheus, "vllm:engine_healthy == 1"))
    assert query(prometheus, 'up{job="stoker"}')[0]["value"][1] == "1"
    assert eventually(lambda: query(prometheus, 'stoker_key_requests_total{key="prometheus"} > 0'))


@pytest.mark.e2e
def test_an_alert_fires_on_the_live_service(watched: tuple[Running, str]) -> None:
    """The engine stands still: Prometheus says so, and stops saying so when it is back."""
    running, prometheus = watched

    def firing() -> set[str]:
        alerts = httpx.get(f"{prometheus}/api/v1/alerts", timeout=10).json()["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    eventually(lambda: query(prometheus, "stoker_engine_up == 1"))
    assert "StokerDown" not in firing()
    supervisor = running.process.pid
    web = next(process for process in running.processes() if "gunicorn" in " ".join(process.cmdline()))
    os.kill(supervisor, signal.SIGSTOP)  # it restarts nothing and answers nobody
    try:
        assert eventually(lambda: "StokerEngineDown" in firing())
    finally:
        os.kill(supervisor, signal.SIGCONT)
    assert eventually(lambda: "StokerEngineDown" not in firing())
    assert web.is_running()
