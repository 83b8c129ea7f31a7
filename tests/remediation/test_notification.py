"""A notification: from the configuration file and Alertmanager's delivery to the endpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from exporter.config.file import load_config_file
from exporter.exposition.telemetry import Telemetry
from exporter.remediation.alerts import read_webhook
from exporter.remediation.remediation import Remediation
from exporter.settings import Settings
from exporter.storage.action_states import State
from exporter.storage.store import Store
from tests.support.deliveries import make_alert, make_body, make_fleet
from tests.support.fakes import Clock, FakeRegistry
from tests.support.orchestrators import TOKEN, FakeMuteWebhook, orchestrator_server
from tests.support.trail import bodies

CONFIG = """
remediation:
  mode: auto
  targets:
    chat:
      kind: webhook
      url: {url}/hooks/retrain?team=risk
      token_file: token
      body: {{text: "{{alertname}}: {{labels.metric}} of {{model}} ({{action_id}})"}}
  policies:
    - name: tell
      match: {{alertname: ModelQualityDegraded}}
      model: fraud
      action: notify
      target: chat
"""


def test_an_incident_is_told_once(tmp_path: Path, clock: Clock, open_store: Callable[[str], Store]) -> None:
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    (tmp_path / "token").write_text(TOKEN)
    with orchestrator_server() as server:
        server.reset(fake := FakeMuteWebhook())
        (tmp_path / "exporter.yml").write_text(CONFIG.format(url=server.url))
        config = load_config_file(tmp_path / "exporter.yml").remediation
        its = Remediation(
            Settings(),
            store,
            FakeRegistry(),
            make_fleet(),
            Telemetry(clock).remediation,
            clock,
            lambda: None,
        )
        its.use(config)
        for metric in ("recall", "recall", "precision"):
            its.receiver.receive(read_webhook(make_body(make_alert(metric=metric))), "alertmanager")
            its.engine.step()
            its.engine.step()
        (told,) = fake.runs.values()
    (action_id,) = fake.runs
    action = its.ledger.find(action_id)
    assert action is not None
    assert action.state is State.RECOVERED
    assert told == {"text": f"ModelQualityDegraded: recall of fraud ({action_id})"}
    assert TOKEN not in str(bodies(store))
