"""Kafka: predictions and labels as messages of one topic, keyed by model and id.

`messages` decodes a message as the body of a request is decoded; `splitting` makes messages of a request, by
the partitions of its rows (`partitioner`). `topic_writer` produces them in place of the writer of a store,
`dead_letters` what cannot be taken. `configuration` makes the clients, `topic` asks the brokers about one. No
other package uses `confluent_kafka`, and none of these modules imports it before a client is made: it is an
extra.
"""
