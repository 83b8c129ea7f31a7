"""Worker of a Kafka group: commits the messages of its partitions, each to a store of its own.

`worker` is the process: one thread reads the messages of the partitions that the group gives it
(`exporter.kafka.consumer`). `assignment` takes those of one partition: it opens the partition's store, goes
on from the offset in it, and pauses while something is away. `entries` decodes messages and says which share
a commit. `partition` commits them by `exporter.ingest`: ids, counts and the next offset in one transaction,
after what cannot be taken was produced as dead letters; `patience` limits the wait for versions and
references that are not there yet. `shared` reads the tables that the evaluator writes: versions, references
and moves of aliases, which each partition follows. `resident` keeps the newest counts of a partition in
memory.

The evaluator reads what was committed through `exporter.partitions`.
"""
