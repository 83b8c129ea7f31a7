"""The Helm chart: manifests of several values, against schemas and the repository's own files."""

from __future__ import annotations

import json
import subprocess
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.settings import load_settings
from tests.support.programs import get_program

pytestmark = pytest.mark.needs("helm")

ROOT = Path(__file__).parents[2]
CHART = ROOT / "exporter" / "chart"
SCHEMAS = Path(__file__).with_name("schemas.py")

NEEDED = {
    "image": {"repository": "registry.example.org/exporter"},
    "mlflow": {"trackingUri": "http://mlflow"},
}
POSTGRESQL = {"store": {"secret": {"name": "postgresql"}}}
SHAPES: dict[str, dict[str, Any]] = {
    "one": NEEDED,
    "one in PostgreSQL": NEEDED | POSTGRESQL | {"replicas": 1},
    "standby": NEEDED | POSTGRESQL,
    "group": NEEDED | POSTGRESQL | {"kafka": {"brokers": ["kafka-0:9092", "kafka-1:9092"]}},
    "everything": NEEDED
    | POSTGRESQL
    | {
        "image": {"repository": "registry:5000/exporter", "tag": "7", "pullSecrets": ["registry"]},
        "mlflow": {"trackingUri": "https://mlflow.example.org", "secret": "mlflow"},
        "replicas": 3,
        "kafka": {"brokers": ["kafka:9092"], "secret": {"name": "kafka"}, "http": False},
        "tokens": {"secret": {"name": "tokens"}},
        "auditKey": {"secret": {"name": "audit"}},
        "config": {"models": {"fraud": {"drift_threshold": 0.2}}},
        "settings": {"EXPORTER_WINDOWS": "1h,24h", "EXPORTER_RUNS": False, "EXPORTER_MAX_VERSIONS": 50},
        "env": [{"name": "AWS_REGION", "value": "eu-central-1"}],
        "envFrom": [{"secretRef": {"name": "s3"}}],
        "urls": {"grafana": "https://grafana.example.org/", "exporter": "https://exporter.example.org"},
        "service": {"type": "LoadBalancer", "port": 80, "annotations": {"cloud": "internal"}},
        "networkPolicy": {
            "from": [{"podSelector": {}}],
            "egress": [{"to": [{"namespaceSelector": {}}], "ports": [{"port": 5432, "protocol": "TCP"}]}],
        },
        "monitoring": {"labels": {"release": "stack"}, "dashboardAnnotations": {"folder": "MLflow"}},
        "serviceAccount": {"annotations": {"role": "arn:aws:iam::1:role/exporter"}},
        "podLabels": {"team": "ml"},
        "podAnnotations": {"linkerd.io/inject": "enabled"},
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [{"key": "monitoring", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
    },
}

Manifest = dict[str, Any]


def run_helm(*arguments: str, values: dict[str, Any]) -> str:
    command = [get_program("helm"), arguments[0], *arguments[1:], "--values", "-"]
    done = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True)
    if done.returncode != 0:
        raise ValueError(done.stderr)
    return done.stdout


def render(values: dict[str, Any], chart: Path = CHART) -> str:
    return run_helm("template", "monitor", str(chart), "--namespace", "ml", values=values)


@pytest.fixture(scope="module")
def rendered() -> dict[str, str]:
    """Manifests of every shape, as text."""
    return {shape: render(values) for shape, values in SHAPES.items()}


@pytest.fixture(scope="module")
def shapes(rendered: dict[str, str]) -> dict[str, list[Manifest]]:
    return {
        shape: [manifest for manifest in yaml.load_all(text, yaml.CSafeLoader) if manifest]
        for shape, text in rendered.items()
    }


def select(manifests: list[Manifest], kind: str, name: str = "monitor-mlflow-exporter") -> Manifest:
    [found] = [m for m in manifests if (m["kind"], m["metadata"]["name"]) == (kind, name)]
    return found


def select_all(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    return {
        m["metadata"]["name"].removeprefix("monitor-mlflow-exporter"): m
        for m in manifests
        if m["kind"] == kind
    }


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Templates of pods, by component."""
    templates = [m["spec"]["template"] for m in manifests if m["kind"] in ("StatefulSet", "Deployment")]
    return {template["metadata"]["labels"]["app.kubernetes.io/component"]: template for template in templates}


def container(template: Manifest) -> Manifest:
    [found] = [c for c in template["spec"]["containers"] if c["name"] == "exporter"]
    return found


def environment(template: Manifest) -> dict[str, str]:
    """Variables of the exporter's container, with an address of PostgreSQL in place of a Secret's."""
    return {
        variable["name"]: variable.get("value", "postgresql://user:password@host/database")
        for variable in container(template)["env"]
    }


def chosen(selector: dict[str, str], manifests: list[Manifest], **more: str) -> set[str]:
    """Components whose pods a selector matches; `leader="true"` of those that lead."""
    leader = {"mlflow-exporter/leader": more["leader"]} if more else {}
    return {
        component
        for component, template in pods(manifests).items()
        if selector.items() <= (template["metadata"]["labels"] | leader).items()
    }


each_shape = pytest.mark.parametrize("shape", SHAPES)


WRONG: list[Manifest] = [
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "wrong"},
        "spec": {"sessionAfinity": "None"},
    },
    {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {"name": "wrong"},
        "spec": {"selector": {}, "endpoints": [{"port": "http", "intervall": "15s"}]},
    },
    {"apiVersion": "v1", "kind": "Servise", "metadata": {"name": "wrong"}},
]


@pytest.fixture(scope="module")
def mistakes(rendered: dict[str, str]) -> list[str]:
    """Mistakes in all manifests and in some wrong ones, from one process: schemas take seconds to load."""
    python = Path(get_program("helm")).with_name("python")
    text = "\n".join([*rendered.values(), yaml.dump_all(WRONG, explicit_start=True)])
    command = [python, SCHEMAS, "1.25", "1.37"]
    return subprocess.run(
        command, input=text, stdout=subprocess.PIPE, text=True, check=True
    ).stdout.splitlines()


def test_kubernetes_and_the_operator_take_every_manifest(mistakes: list[str]) -> None:
    assert [mistake for mistake in mistakes if " wrong: " not in mistake] == []


def test_a_manifest_with_a_mistake_is_found(mistakes: list[str]) -> None:
    found = [mistake.partition(" ")[0] for mistake in mistakes if " wrong: " in mistake]
    assert found == [manifest["kind"] for manifest in WRONG]


def test_helm_finds_nothing_to_say() -> None:
    assert "1 chart(s) linted, 0 chart(s) failed" in run_helm("lint", str(CHART), "--strict", values=NEEDED)


MISTAKES = {
    "image.repository is missing: build the image": {"mlflow": NEEDED["mlflow"]},
    "mlflow.trackingUri is missing": {"image": NEEDED["image"]},
    "replicas: 2 needs a store in PostgreSQL, since a standby takes over": NEEDED | {"replicas": 2},
    "kafka.brokers needs a store in PostgreSQL": NEEDED | {"kafka": {"brokers": ["kafka:9092"]}},
    "settings.EXPORTER_ROLE is set by the chart itself": NEEDED | {"settings": {"EXPORTER_ROLE": "worker"}},
    "at '/kafka': additional properties 'broker' not allowed": NEEDED | {"kafka": {"broker": "kafka:9092"}},
    "at '/kafka/brokers': got string, want array": NEEDED | {"kafka": {"brokers": "kafka:9092"}},
    "at '/workers/replicas': minimum: got 0, want 1": NEEDED | {"workers": {"replicas": 0}},
    "does not match pattern '^EXPORTER_": NEEDED | {"settings": {"WINDOWS": "1h"}},
}


@pytest.mark.parametrize("message", MISTAKES)
def test_values_that_do_not_fit_are_refused(message: str) -> None:
    with pytest.raises(ValueError) as refused:
        render(MISTAKES[message])
    assert message in str(refused.value)


def test_the_version_of_the_image_is_the_exporters() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == project["version"]


@each_shape
def test_the_exporter_takes_its_settings(shapes: dict[str, list[Manifest]], shape: str) -> None:
    roles = {}
    for component, template in pods(shapes[shape]).items():
        variables = environment(template)
        own = {name: value for name, value in variables.items() if name.startswith("EXPORTER_")}
        mounts = {mount["mountPath"] for mount in container(template)["volumeMounts"]}
        files = {name: value for name, value in own.items() if name.endswith(("_FILE", "_CONFIG"))}
        assert {str(Path(path).parent) for path in files.values()} <= mounts
        settings = load_settings({name: own[name] for name in own.keys() - files.keys()})
        assert variables["MLFLOW_TRACKING_URI"] == SHAPES[shape]["mlflow"]["trackingUri"]
        roles[component] = (settings.role, settings.ingest, settings.store.partition(":")[0])
    postgresql, ingest = "postgresql", "store" if shape == "everything" else "kafka"
    assert roles == {
        "one": {"evaluator": ("all", "store", "sqlite")},
        "one in PostgreSQL": {"evaluator": ("all", "store", postgresql)},
        "standby": {"evaluator": ("all", "store", postgresql)},
    }.get(shape, {"evaluator": ("evaluator", ingest, postgresql), "worker": ("worker", ingest, postgresql)})


@each_shape
def test_pods_are_confined(shapes: dict[str, list[Manifest]], shape: str) -> None:
    for template in pods(shapes[shape]).values():
        spec = template["spec"]
        assert spec["securityContext"].items() >= {
            "runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"},
        }.items()  # fmt: skip
        assert not spec["automountServiceAccountToken"]
        for one in spec["containers"]:
            assert one["securityContext"] == {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }  # fmt: skip
            assert {"cpu", "memory"} <= one["resources"]["requests"].keys()
            assert "memory" in one["resources"]["limits"]
        mounted = {mount["name"] for one in spec["containers"] for mount in one["volumeMounts"]}
        claims = {"data"} if shape == "one" else set()
        assert mounted == {volume["name"] for volume in spec["volumes"]} | claims


@each_shape
def test_requests_go_to_pods_that_answer_them(shapes: dict[str, list[Manifest]], shape: str) -> None:
    manifests = shapes[shape]
    services = {name: m["spec"]["selector"] for name, m in select_all(manifests, "Service").items()}
    has_standby = shape not in ("one", "one in PostgreSQL")
    everything = set(pods(manifests))

    assert chosen(services.pop("-pods"), manifests) == everything
    main = services.pop("")
    assert chosen(main, manifests, leader="true") == {"evaluator"}
    assert chosen(main, manifests, leader="false") == (set() if has_standby else {"evaluator"})
    if shape == "group":
        assert chosen(services.pop("-workers"), manifests) == {"worker"}
    assert services == {}


@each_shape
def test_a_standby_is_ready_but_a_process_alone_only_once_it_serves(
    shapes: dict[str, list[Manifest]], shape: str
) -> None:
    probes = {
        component: (
            container(template)["readinessProbe"]["httpGet"]["path"],
            len(template["spec"]["containers"]),
        )
        for component, template in pods(shapes[shape]).items()
    }
    alone = shape in ("one", "one in PostgreSQL")
    assert probes.pop("evaluator") == (("/-/ready", 1) if alone else ("/-/healthy", 2))
    assert set(probes.values()) <= {("/-/ready", 1)}


@each_shape
def test_a_drain_takes_one_pod_of_a_kind_at_a_time(shapes: dict[str, list[Manifest]], shape: str) -> None:
    manifests = shapes[shape]
    budgets = select_all(manifests, "PodDisruptionBudget").values()
    assert all(budget["spec"]["maxUnavailable"] == 1 for budget in budgets)
    protected = [chosen(budget["spec"]["selector"]["matchLabels"], manifests) for budget in budgets]
    alone = shape in ("one", "one in PostgreSQL")  # a budget would only block the drain
    assert sorted(map(sorted, protected)) == (
        [] if alone else sorted([component] for component in pods(manifests))
    )


def test_a_standby_may_change_its_own_pods_only(shapes: dict[str, list[Manifest]]) -> None:
    assert "Role" not in {m["kind"] for m in shapes["one"]}
    [rule] = select(shapes["everything"], "Role")["rules"]
    replicas = select(shapes["everything"], "StatefulSet")["spec"]["replicas"]
    assert rule["resourceNames"] == [f"monitor-mlflow-exporter-{number}" for number in range(replicas)]
    assert (rule["resources"], rule["verbs"]) == (["pods"], ["patch"])


def test_the_script_that_labels_the_leader_is_the_charts(shapes: dict[str, list[Manifest]]) -> None:
    data = select(shapes["group"], "ConfigMap", "monitor-mlflow-exporter-leader-label")["data"]
    assert data["leader_label.py"].strip() == (CHART / "files" / "leader_label.py").read_text().strip()


@each_shape
def test_prometheus_scrapes_every_pod_once_as_the_rules_expect(
    shapes: dict[str, list[Manifest]], shape: str
) -> None:
    manifests = shapes[shape]
    monitor = select(manifests, "ServiceMonitor")["spec"]
    scraped = [
        service
        for service in select_all(manifests, "Service").values()
        if monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    ]
    assert len(scraped) == 1
    assert scraped[0]["spec"]["publishNotReadyAddresses"]
    assert chosen(scraped[0]["spec"]["selector"], manifests) == set(pods(manifests))
    assert monitor["endpoints"][0]["relabelings"] == [
        {"targetLabel": "job", "replacement": "mlflow-exporter"}
    ]


@each_shape
def test_the_rules_are_the_repositorys(shapes: dict[str, list[Manifest]], shape: str) -> None:
    rules = {name: m["spec"] for name, m in select_all(shapes[shape], "PrometheusRule").items()}
    expected = {}
    for path in (ROOT / "prometheus" / "rules").glob("*.yml"):
        text = path.read_text()
        if shape == "everything":
            text = text.replace("http://localhost:3000/", "https://grafana.example.org/")
        expected[f"-{path.stem}"] = yaml.load(text, yaml.CSafeLoader)
    assert rules == expected


def test_the_dashboards_are_the_repositorys(shapes: dict[str, list[Manifest]]) -> None:
    boards = {
        name: text
        for manifest in shapes["group"]
        if manifest["metadata"]["labels"].get("grafana_dashboard") == "1"
        for name, text in manifest["data"].items()
    }
    files = {
        path.name: json.loads(path.read_text()) for path in (ROOT / "grafana" / "dashboards").glob("*.json")
    }
    assert {name: json.loads(text) for name, text in boards.items()} == files
    # `kubectl apply` keeps a copy of the whole manifest in an annotation, which may have 256 kB.
    assert max(map(len, boards.values())) < 240_000


def test_the_configuration_file_is_mounted_and_replaces_pods(shapes: dict[str, list[Manifest]]) -> None:
    data = select(shapes["everything"], "ConfigMap")["data"]
    assert yaml.safe_load(data["exporter.yml"]) == SHAPES["everything"]["config"]
    checksums = {
        template["metadata"]["annotations"]["checksum/config"]
        for shape in ("group", "everything")
        for template in pods(shapes[shape]).values()
    }
    assert len(checksums) == 2


def test_a_package_of_the_chart_is_complete(tmp_path: Path, rendered: dict[str, str]) -> None:
    subprocess.run([get_program("helm"), "package", CHART, "-d", tmp_path], check=True, capture_output=True)
    [package] = tmp_path.iterdir()
    with tarfile.open(package) as archive:
        assert not [member.name for member in archive if member.issym()]
    assert render(SHAPES["group"], package) == rendered["group"]


def test_a_chart_without_its_checkout_is_refused(tmp_path: Path) -> None:
    alone = tmp_path / "mlflow-exporter"
    (alone / "templates").mkdir(parents=True)
    for path in CHART.rglob("*"):
        if path.is_file() and path.parent in (CHART, CHART / "templates"):
            (alone / path.relative_to(CHART)).write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match="files/rules is empty"):
        render(NEEDED, alone)


def test_what_is_not_wanted_is_left_out() -> None:
    less = {
        "monitoring": {"prometheusOperator": False, "dashboards": False},
        "networkPolicy": {"enabled": False},
        "disruptionBudget": False,
    }
    kinds = {m["kind"] for m in yaml.safe_load_all(render(SHAPES["one"] | less)) if m}
    assert kinds == {"StatefulSet", "Service", "ServiceAccount"}
