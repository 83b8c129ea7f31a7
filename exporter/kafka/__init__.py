"""Kafka: predictions and labels as messages of one topic, keyed by model and id.

Towards the topic, `topic_writer` takes requests in place of the writer of a store; `splitting` divides each
into messages by the partitions of its rows (`partitioner`; `arrow_rows` encodes those of Arrow). From the
topic, `consumer` reads the partitions that the group gives to a worker (`exporter.worker`), and `messages`
decodes a message to the request that the writer would take; `dead_letters` produces those that cannot be
taken to a topic of their own. `configuration` makes the clients, and `topic` asks the brokers about a topic.

No other package uses `confluent_kafka`, and none of these modules imports it before a client is made: it is
an extra.
"""
