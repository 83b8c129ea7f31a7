"""Work in the background, each part in threads of its own so that none waits for another.

`discovery` follows MLflow's registry, `reference_loader` finds references, `evaluator` evaluates all versions
and deletes old data, `run_watcher` follows experiments and runs; `rebaseline` replaces a reference on demand.
"""
