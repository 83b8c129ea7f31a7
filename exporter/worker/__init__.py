"""Worker of a Kafka group: commits the messages of its partitions, each to a store of its own.

`worker` is the process: a thread that reads the partitions that the group gives it
(`exporter.kafka.consumer`) and commits them one after the other. `assignment` is the progress of one of
them, `partition` its store and counts; `shared` reads the tables that the evaluator writes: versions,
references and moves of aliases.
"""
