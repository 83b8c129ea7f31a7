"""Make a report of 10,000 rows and 20 columns: drift, summary and classification; and beside the service.

python tests/benchmarks/bench_reports.py [seconds]

CPU time and memory are those of the child process that makes it. Then a client posts a row every 10 ms and
scrapes /metrics four times a second, in turns without and with reports being made, in one run of the service.
"""

from __future__ import annotations

import gc
import resource
import select
import sys
import tempfile
import time
from pathlib import Path
from threading import Event, Thread

import numpy as np
from bench_ingest import Running, make_store, running
from bench_requests import Client, predictions, scrapes

from exporter.reports.contents import ReportColumn, ReportInput
from exporter.reports.making import make_report
from tests.support.report_inputs import live_rows, reference_parquet

ROWS, NUMBERS, CATEGORIES = 10_000, 14, 6
SECONDS = 20.0  # of each turn
TURNS = 3


def make_input() -> ReportInput:
    """A binary task with 14 numeric and 6 categorical features."""
    parts = []
    for seed in (1, 2):
        random = np.random.default_rng(seed)
        scores = random.random(ROWS)
        features = {f"number {k}": random.normal(size=ROWS).tolist() for k in range(NUMBERS)}
        features |= {
            f"category {k}": random.choice(list("abcdefgh"), ROWS).tolist() for k in range(CATEGORIES)
        }
        predicted = np.where(scores > 0.5, "1", "0").tolist()
        labels = np.where(random.random(ROWS) < scores, "1", "0").tolist()
        parts.append((features, predicted, scores.tolist(), labels))
    columns = [
        ReportColumn(name, "feature", "number" if "number" in name else "category") for name in parts[0][0]
    ]
    columns.append(ReportColumn("prediction", "prediction", "category"))
    columns.append(ReportColumn("score", "score", "number"))
    base, base_predicted, base_scores, base_labels = parts[1]
    return ReportInput(
        model="fraud",
        version="3",
        start=0.0,
        end=86400.0,
        task="binary",
        classes=("0", "1"),
        positive_class="1",
        columns=tuple(columns),
        rows=live_rows(*parts[0]),
        rows_counted=ROWS,
        reference_rows=reference_parquet(
            base, prediction=base_predicted, score=base_scores, target=base_labels
        ),
        reference_digest="-",
    )


def resident() -> float:
    """MB that this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def measure_report(given: ReportInput) -> None:
    gc.collect()
    before, wall = resident(), time.perf_counter()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = make_report(given)
    wall, after = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    sizes = {name: len(getattr(report, name)) / 2**20 for name in ("html", "json", "snapshot")}
    gc.collect()
    print(f"a report of {report.rows:,} rows and {ROWS:,} of the reference x {NUMBERS + CATEGORIES} columns")
    print(
        f"  {cpu:.1f} s of CPU (below 15), {wall:.1f} s; memory of the child {after.ru_maxrss / 1024:,.0f} MB"
    )
    print(
        "  gzip: " + ", ".join(f"{name} {size:.2f} MB" for name, size in sizes.items()) + " (HTML below 1.5)"
    )
    print(f"  memory of the parent {before:,.0f} MB before, {resident():,.0f} MB after, with the report")


def post_and_scrape(service: Running, seconds: float) -> tuple[list[float], list[float]]:
    """Seconds that each answer, and each scrape took."""
    client, scraper = Client(service.port, predictions(ids=True)), Client(service.port, scrapes())
    end, next_scrape = time.perf_counter() + seconds, 0.0
    while (now := time.perf_counter()) < end:
        asked = [client]
        if now >= next_scrape:
            asked, next_scrape = [client, scraper], now + 0.25
        for each in asked:
            each.send()
            while not each.receive():
                select.select([each.socket], [], [])
        time.sleep(0.01)
    for each in (client, scraper):
        each.socket.close()
    return client.seconds, scraper.seconds


def main(seconds: float) -> None:
    given = make_input()
    measure_report(given)
    found: dict[bool, tuple[list[float], list[float]]] = {False: ([], []), True: ([], [])}
    with tempfile.TemporaryDirectory(prefix="bench-reports-") as directory:
        uri = f"sqlite:///{Path(directory)}/reports.db"
        make_store(uri)
        with running(uri) as service:
            post_and_scrape(service, 2.0)
            for turn in range(2 * TURNS):
                stop, reports = Event(), turn % 2 == 1

                def make_all(until: Event = stop) -> None:
                    while not until.is_set():
                        make_report(given)

                thread = Thread(target=make_all)
                if reports:
                    thread.start()
                answers, scraped = post_and_scrape(service, seconds)
                stop.set()
                if reports:
                    thread.join()
                found[reports][0].extend(answers)
                found[reports][1].extend(scraped)
    for reports, name in ((False, "without a report"), (True, "beside reports")):
        answers, scraped = ([1000 * each for each in times] for times in found[reports])
        print(
            f"  {name:<18}answer p50 {np.percentile(answers, 50):4.1f} ms, "
            f"p99 {np.percentile(answers, 99):4.1f} ms   "
            f"/metrics p50 {np.percentile(scraped, 50):4.1f} ms, p99 {np.percentile(scraped, 99):4.1f} ms"
        )


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS)
