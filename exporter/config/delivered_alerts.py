"""Alerts of the delivered rules in prometheus/rules, as policies of remediation see them."""

from __future__ import annotations

from exporter.config.remediation import Policy, full_match

# Alerts on models of the delivered rules that Alertmanager sends to the exporter, with their severities.
DELIVERED_ALERTS = {
    "ModelAliasChanged": ("info",),
    "ModelChallengerBetter": ("info",),
    "ModelDataQualityDegraded": ("warning", "critical"),
    "ModelErrorRateHigh": ("warning", "critical"),
    "ModelEstimatedQualityDegraded": ("warning",),
    "ModelFeatureChanged": ("warning",),
    "ModelFeatureDrift": ("warning",),
    "ModelLabelCoverageLow": ("warning",),
    "ModelLabelDrift": ("warning",),
    "ModelLabelsStopped": ("warning",),
    "ModelLatencyHigh": ("warning",),
    "ModelManyFeaturesDrifted": ("warning",),
    "ModelNoTraffic": ("warning",),
    "ModelPredictionChanged": ("warning",),
    "ModelPredictionDrift": ("warning",),
    "ModelQualityDegraded": ("warning", "critical"),
    "ModelReferenceMissing": ("warning",),
    "ModelSegmentDrift": ("info",),
    "ModelSegmentQualityDegraded": ("info",),
    "ModelServingSaturated": ("warning",),
}
LOOP_ALERTS = (
    "MLflowExporterRemediationFailed",
    "MLflowExporterRemediationConflict",
    "MLflowExporterRemediationInterrupted",
    "MLflowExporterRemediationNotRecovered",
    "MLflowExporterRemediationApprovalWaiting",
    "MLflowExporterRemediationBreakerOpen",
    "MLflowExporterRemediationDeaf",
    "MLflowExporterAuditCheckpointOverdue",
    "MLflowExporterClientRowsDropped",
    "MLflowExporterConfigReloadFailed",
    "MLflowExporterDeadLetters",
    "MLflowExporterDown",
    "MLflowExporterEvaluationFailing",
    "MLflowExporterEvaluationStale",
    "MLflowExporterIngestRejecting",
    "MLflowExporterKafkaLag",
    "MLflowExporterNoLeader",
    "MLflowExporterPartitionsMissing",
    "MLflowExporterRowsDropped",
    "MLflowExporterShardMissing",
    "MLflowExporterStoreDamaged",
    "MLflowExporterStoreNearLimit",
    "MLflowExporterVersionsUnmonitored",
)
# Alerts on inputs, which the version before gets as well.
INPUT_ALERTS = (
    "ModelFeatureDrift",
    "ModelFeatureChanged",
    "ModelManyFeaturesDrifted",
    "ModelSegmentDrift",
    "ModelDataQualityDegraded",
    "ModelDriftExplained",
)


def delivered_alerts(policy: Policy) -> frozenset[tuple[str, str]]:
    """Name and severity of the delivered alerts that a policy matches, whatever their other labels are."""
    name, severity = policy.match["alertname"], policy.match.get("severity", ".*")
    return frozenset(
        (alert, each)
        for alert, severities in DELIVERED_ALERTS.items()
        for each in severities
        if full_match(name, alert) and full_match(severity, each)
    )
