"""`make test-agents`: the real agents, headless, each in a folder of its own, against the running service.

`python -m tests.agents [AGENT…] [-s SCENARIO]`: all of them without a name. Each is installed from its registry once,
into `.venv-agents`. What was recorded and printed stays in `.agents`, with `outcomes.json`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from src.settings import ROOT
from tests.agents import agent as agents
from tests.agents import scenarios
from tests.agents.agent import Agent
from tests.agents.clients import AGENTS
from tests.agents.models import ENDS_EVERY, RARE_ENDS, widened_demo
from tests.agents.recorder import Recorder, recorder
from tests.agents.scenarios import Bench
from tests.agents.script import tokens
from tests.agents.upstream import MODEL, Scripted, over_script, scripted
from tests.running import Running, service

Scenario = Callable[[Bench], None]
FOLDER = ROOT / ".agents"
_CONTEXT = 200_000
_OVERFLOW_ROOM = 24_000  # tokens of history that fit beside an agent's first turn
_LACKS = {"MCP tool": "mcp", "PDF": "pdf", "picture": "picture", "context overflow": "overflow"}
_LACKS["context overflow, unknown"] = "overflow_unknown"
_LACKS["killed in the answer over mlx"] = "long"


@dataclass
class Report:
    """What passed and failed, for each agent: the last outcome of each scenario stays in `outcomes.json`."""

    outcomes: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, agent: Agent, scenario: str, outcome: str) -> None:
        if agent.name not in self.outcomes:
            self.outcomes[agent.name] = {"version": agent.version()}
        self.outcomes[agent.name][scenario] = outcome
        print(f"{agent.name}: {scenario}: {outcome}", flush=True)
        file = FOLDER / "outcomes.json"
        kept = json.loads(file.read_text()) if file.exists() else {}
        kept.setdefault(agent.name, {}).update(self.outcomes[agent.name])
        file.write_text(json.dumps(kept, indent=1))

    def failed(self) -> int:
        return sum(one.startswith("FAILED") for each in self.outcomes.values() for one in each.values())


class Unreported(Report):
    """For what only prepares a scenario."""

    def add(self, agent: Agent, scenario: str, outcome: str) -> None:
        if outcome.startswith("FAILED"):
            super().add(agent, scenario, outcome)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.agents")
    parser.add_argument("agents", nargs="*")
    parser.add_argument("-s", "--scenario", help="only scenarios whose name begins so")
    options = parser.parse_args(argv)
    wanted = [one for one in AGENTS if not options.agents or one.name in options.agents]
    FOLDER.mkdir(exist_ok=True)
    report = Report()
    for agent in wanted:
        agent.install()
    for group in (_over_script, _over_fake, _over_mlx, _over_small_context):
        group(wanted, report, options.scenario or "")
    return min(report.failed(), 1)


def _chosen(group: Mapping[str, Scenario], prefix: str) -> dict[str, Scenario]:
    return {name: each for name, each in group.items() if name.startswith(prefix)}


def _over_script(wanted: list[Agent], report: Report, prefix: str) -> None:
    if not (chosen := _chosen(scenarios.SCRIPTED, prefix)):
        return
    with scripted(_CONTEXT) as model, over_script(model) as running:
        for agent in wanted:
            for name, scenario in chosen.items():
                _try(agent, name, scenario, running, report, model)


def _over_fake(wanted: list[Agent], report: Report, prefix: str) -> None:
    if not (chosen := _chosen(scenarios.FAKE, prefix)):
        return
    with service(inference_engine="fake", default_model=MODEL, ocr_workers=0) as running:
        for agent in wanted:
            for name, scenario in chosen.items():
                _try(agent, name, scenario, running, report)


def _over_mlx(wanted: list[Agent], report: Report, prefix: str) -> None:
    for group, ends_every in ((scenarios.MLX, ENDS_EVERY), (scenarios.MLX_LONG, RARE_ENDS)):
        if chosen := _chosen(group, prefix):
            _over_demo(chosen, ends_every, wanted, report)


def _over_demo(chosen: Mapping[str, Scenario], ends_every: int, wanted: list[Agent], report: Report) -> None:
    folder = widened_demo(FOLDER / f"models-{ends_every}" / MODEL, ends_every)
    with service(default_model=MODEL, models_dir=folder.parent, ocr_workers=0, request_timeout=900) as running:
        for agent in wanted:
            for name, scenario in chosen.items():
                _try(agent, name, scenario, running, report)


def _over_small_context(wanted: list[Agent], report: Report, prefix: str) -> None:
    """Each agent's own context: its first turn, and room for some of the history."""
    for name, scenario in _chosen(scenarios.OVERFLOW, prefix).items():
        for agent in wanted:
            with scripted(_CONTEXT) as model, over_script(model) as running:
                _try(agent, "first turn", scenarios.chat, running, Unreported(), model)
                context = max(map(tokens, model.asked)) + _OVERFLOW_ROOM
            with scripted(context) as model, over_script(model) as running:
                _try(agent, name, scenario, running, report, model)


def _try(
    agent: Agent,
    name: str,
    scenario: Scenario,
    running: Running,
    report: Report,
    model: Scripted | None = None,
) -> None:
    if (why := agent.lacks.get(_LACKS.get(name, ""))) is not None:
        return report.add(agent, name, f"– {why}")
    model = model or Scripted(context=_CONTEXT)
    believed = _CONTEXT if name.endswith("unknown") else model.context
    folder = FOLDER / agent.name / name.replace(" ", "_").replace(",", "")
    shutil.rmtree(folder, ignore_errors=True)
    began = time.monotonic()
    with recorder(running.port) as proxy:
        place = agents.make(agent, folder, proxy.url, MODEL, believed)
        try:
            scenario(Bench(agent, place, proxy, running, model))
        except AssertionError as error:
            outcome = f"FAILED {error}"
        except (
            ValueError,
            LookupError,
            TypeError,
            OSError,
        ):  # an agent's output that cannot be read is its outcome, too
            outcome = f"FAILED {traceback.format_exc(limit=-2)}"
        else:
            outcome = f"ok {time.monotonic() - began:.0f} s"
    _keep(proxy, folder)
    running.wait()
    return report.add(agent, name, outcome)


def _keep(proxy: Recorder, folder: Path) -> None:
    """What was sent and what came, a line each."""
    kept = [
        {
            "request": f"{one.method} {one.path}",
            "headers": one.headers,
            "body": one.json(),
            "status": one.status,
            "ignored": one.ignored,
            "answer": one.answer.decode(errors="replace"),
        }
        for one in proxy.exchanges
    ]
    with (folder / "exchanges.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(one) + "\n" for one in kept)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
