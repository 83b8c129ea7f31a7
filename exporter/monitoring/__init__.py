"""Work in the background, each part in threads of its own so that none waits for another.

`discovery` follows MLflow's registry, `evaluator` evaluates all versions and deletes old data, and
`run_watcher` follows experiments and runs, each in a `loop`. `reference_loader` finds references;
`rebaseline` replaces a reference on demand.

What they find and do is recorded in the audit trail: `journal` records changed verdicts (`verdicts`) and a
summary of every hour (`hourly_summary`), `config_journal` the configuration, `entries` has the others.
`checkpoints` takes the trail's end out of the store.
"""
