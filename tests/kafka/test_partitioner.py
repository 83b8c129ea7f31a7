import pytest

from exporter.kafka.partitioner import murmur2, partitions_of, row_key

# Of Kafka's own UtilsTest.
JAVA = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}


def test_the_hash_is_that_of_javas_client_whatever_keys_come_together() -> None:
    keys = [text.encode() for text in JAVA]

    assert murmur2(keys).astype("i4").tolist() == list(JAVA.values())
    assert [int(murmur2([key]).astype("i4")[0]) for key in keys] == list(JAVA.values())


@pytest.mark.parametrize("count", [0, 1, 20_000])
def test_each_key_has_its_partition_in_any_number_of_keys(count: int) -> None:
    keys = [row_key("fraud", f"{number:x}" * (number % 5)) for number in range(count)]

    found = partitions_of(keys, 7)

    assert found.shape == (count,)
    assert found[-10:].tolist() == [int(partitions_of([key], 7)[0]) for key in keys[-10:]]


def test_ids_of_any_characters_have_a_key() -> None:
    assert row_key("modèle", "\ud800\0") == "modèle".encode() + b"\0\xed\xa0\x80\0"
