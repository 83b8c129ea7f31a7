"""Check manifests against the schemas of Kubernetes and of the Prometheus operator.

`schemas.py RELEASE...` reads YAML documents from stdin and prints a line for each mistake, by these releases
of Kubernetes. Unknown fields are mistakes too. It is run by the Python of `.ci/helm`, which has the schemas.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import jsonschema
import kubernetes_validate
import yaml
from cloudcoil.models.prometheus_operator import v1 as operator


def forbid_unknown(schema: Any) -> Any:
    """The schema, with objects that take the fields they name and no others."""
    if isinstance(schema, list):
        return [forbid_unknown(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: forbid_unknown(value) for key, value in schema.items()}
    if isinstance(pattern := closed.get("pattern"), str):
        closed["pattern"] = pattern.replace("^(?i)", "(?i)^")  # Go takes flags anywhere
    if closed.get("type") == "object" and closed.get("properties"):
        closed.setdefault("additionalProperties", False)
    return closed


kubernetes_validate.utils.schema_contents = cache(
    kubernetes_validate.utils.schema_contents
)  # a megabyte each time
OPERATOR = {
    kind.__name__: jsonschema.Draft202012Validator(forbid_unknown(kind.model_json_schema()))
    for kind in (operator.ServiceMonitor, operator.PrometheusRule)
}


def main(releases: list[str]) -> None:
    for manifest in filter(None, yaml.load_all(sys.stdin, yaml.CSafeLoader)):
        name = f"{manifest['kind']} {manifest['metadata']['name']}"
        try:
            if manifest["apiVersion"].startswith("monitoring.coreos.com/"):
                OPERATOR[manifest["kind"]].validate(manifest)
            else:
                for release in releases:
                    kubernetes_validate.validate(manifest, release, strict=True)
        except jsonschema.ValidationError as error:
            print(f"{name}: {error.json_path}: {error.message[:300]}")
        except kubernetes_validate.SchemaNotFoundError as error:
            print(f"{name}: {error.message}")


if __name__ == "__main__":
    main(sys.argv[1:])
