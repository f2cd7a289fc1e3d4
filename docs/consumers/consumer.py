"""Prints the documents and events of a topic, each checked: consumer.py HOST:PORT TOPIC FOLDER_OF_SCHEMAS"""

import asyncio
import json
import sys
from pathlib import Path

from aiokafka import AIOKafkaConsumer
from jsonschema_rs import Draft202012Validator

schemas = [json.loads(path.read_bytes()) for path in Path(sys.argv[3]).glob("*-2.*.json")]
validators = {schema["$id"]: Draft202012Validator(schema) for schema in schemas}


async def main(servers: str, topic: str) -> None:
    async with AIOKafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest") as consumer:
        if topic not in await consumer.topics():
            print(f"there is no topic {topic} yet: waiting for its records", file=sys.stderr)
        consumer.subscribe([topic])
        async for record in consumer:
            document = json.loads(record.value)
            validators[dict(record.headers)["ce_dataschema"].decode()].validate(document)  # raises ValidationError
            print(json.dumps(document), flush=True)


asyncio.run(main(*sys.argv[1:3]))
