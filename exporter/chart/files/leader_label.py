"""Label this pod `mlflow-exporter/leader=true` while its exporter is ready, which only the leader is.

It runs beside the exporter, in the same pod, with the standard library alone. The Service selects by this
label. The readiness of the pod cannot tell: a standby has to count as ready, or rollouts would never end.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import time
import urllib.request
from pathlib import Path

LABEL = "mlflow-exporter/leader"
READY = "http://127.0.0.1:19464/-/ready"
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
SECONDS = 1.0  # between two questions
TIMEOUT_SECONDS = 3.0


def is_leading(url: str) -> bool:
    """Return true if the exporter answers that it is ready; a frozen one does not."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 # of this pod
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        return False


def write_label(server: str, account: Path, pod: str, leading: bool) -> None:
    """Set the label of this pod, with the token of its service account, which Kubernetes renews.

    Raises:
        OSError: the API server cannot be reached, or refuses.
    """
    namespace = (account / "namespace").read_text()
    request = urllib.request.Request(  # noqa: S310 # the address is the cluster's own
        f"{server}/api/v1/namespaces/{namespace}/pods/{pod}",
        method="PATCH",
        data=json.dumps({"metadata": {"labels": {LABEL: str(leading).lower()}}}).encode(),
        headers={
            "Authorization": f"Bearer {(account / 'token').read_text()}",
            "Content-Type": "application/merge-patch+json",
        },
    )
    trust = ssl.create_default_context(cafile=str(account / "ca.crt"))
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS, context=trust):  # noqa: S310
        pass


def main() -> None:
    """Ask once a second, and write what has changed; what could not be written is tried again."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT_HTTPS"]
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    account = Path(os.environ.get("ACCOUNT", ACCOUNT))
    written = None  # unknown: of an earlier run
    while True:
        leading = is_leading(os.environ.get("READY", READY))
        if leading != written:
            try:
                write_label(server, account, os.environ["POD"], leading)
            except (OSError, http.client.HTTPException) as error:
                print(f"Cannot write {LABEL}: {error}", flush=True)  # noqa: T201 # it is a program
            else:
                written = leading
                print(f"{LABEL} is {leading}", flush=True)  # noqa: T201
        time.sleep(SECONDS)


if __name__ == "__main__":
    main()
