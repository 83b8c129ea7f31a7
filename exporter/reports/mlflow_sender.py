"""Logs reports to MLflow, each as a run of the model's monitoring experiment."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from exporter.config.reports import ReportsConfig
from exporter.errors import RegistryError, RegistryUnreachableError, SendingError
from exporter.formats.addresses import report_address, version_path
from exporter.formats.texts import utc_text
from exporter.registry.models import KEPT_TAG
from exporter.registry.registry import Registry
from exporter.registry.report_runs import MAX_METRICS, ReportRun, metric_name
from exporter.reports.stored_files import read_stored_file
from exporter.storage.report_sending import DestinationName
from exporter.storage.reports import FileName, StoredReport, list_reports, load_report_values
from exporter.storage.store import Store

MAX_HEADLINE = 5  # metrics that are also the logged model's
_FILES: Mapping[str, FileName] = {"report.html": "html", "report.json": "json"}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#|!~])")


class MlflowSender:
    """MLflow as a destination of reports. `config` is the section `reports` now."""

    name: DestinationName = "mlflow"

    def __init__(
        self, registry: Registry, store: Store, config: Callable[[], ReportsConfig], external_url: str
    ) -> None:
        self._registry = registry
        self._store = store
        self._config = config
        self._external_url = external_url

    def is_on(self) -> bool:
        return self._config().mlflow

    def send(self, report: StoredReport) -> str:
        """Log a report; one that MLflow has already gets its tags anew.

        Raises:
            SendingError: MLflow did not take it.
        """
        try:
            return self._registry.log_report(self._run(report))
        except RegistryUnreachableError as error:
            raise SendingError(str(error), down=True) from error
        except RegistryError as error:
            raise SendingError(str(error), down=False) from error
        except OSError as error:  # no room for a temporary file
            raise SendingError(f"no file can be written to send it: {error.strerror}", down=True) from error

    def _run(self, report: StoredReport) -> ReportRun:
        config = self._config()
        with self._store.reading() as connection:
            files = {name: read_stored_file(connection, report, stored) for name, stored in _FILES.items()}
            values = load_report_values(connection, report.id)
            newest = list_reports(connection, *report.names, limit=1)
        metrics = {
            metric_name(each["metric"], each["column"], each["part"]): each["value"] for each in values
        }
        metrics = {"rows": float(report.rows), **dict(list(metrics.items())[: MAX_METRICS - 1])}
        address = report_address(self._external_url, *report.names, report.id)
        ended_at = report.finished_at or report.created_at
        return ReportRun(
            report_id=report.id,
            experiment=config.experiment.format(model=report.model),
            name=f"version {report.model_version}, {report.window} until {utc_text(report.end)}",
            model=report.model,
            version=report.model_version,
            started_at=report.created_at,
            ended_at=ended_at,
            metrics=metrics,
            headline=[metric_name(each["metric"], "", each["part"]) for each in values if not each["column"]][
                :MAX_HEADLINE
            ],
            tags={
                "monitoring.model": report.model,
                "monitoring.model_version": report.model_version,
                "monitoring.window": report.window,
                "monitoring.window_start": utc_text(report.start),
                "monitoring.window_end": utc_text(report.end),
                "monitoring.reference_digest": report.reference_digest,
                "monitoring.verdicts": _verdicts(report),
                "monitoring.trigger": report.trigger,
                "monitoring.action_id": report.action_id,
                "monitoring.report_url": address,
                KEPT_TAG: utc_text(ended_at + config.retention),
            },
            description=_description(report, address),
            link=address if [each.id for each in newest] == [report.id] else "",
            files=files,
        )


def _verdicts(report: StoredReport) -> str:
    """The bad verdicts, as `drift age 24h; quality recall 7d country=DE`."""
    return "; ".join(" ".join(filter(None, verdict)) for verdict in report.verdicts)


def _description(report: StoredReport, address: str) -> str:
    """The report in Markdown, with links within MLflow and to the exporter."""
    place = f"#/{version_path(*report.names)}"
    lines = [
        f"Live rows of [version {report.model_version} of {_plain(report.model)}]({place}) from "
        f"{utc_text(report.start)} to {utc_text(report.end)}, compared with its reference: a sample of "
        f"{report.rows:,} of {report.counted:,} rows.",
        f"Reason: {_plain(report.reason)}" if report.reason else "",
        f"[The report on the exporter]({address})" if address else "",
        "\n".join(f"- {_plain(note)}" for note in report.notes),
    ]
    return "\n\n".join(filter(None, lines))


def _plain(text: str) -> str:
    """The text with nothing of it read as Markdown or HTML."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))
