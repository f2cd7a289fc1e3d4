// Prints the documents and events of a topic, each checked: consumer.mjs HOST:PORT TOPIC FOLDER_OF_SCHEMAS

import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";
import { Kafka, logLevel } from "kafkajs";

const [servers, topic, folder] = process.argv.slice(2);
const ajv = new Ajv2020({ validateFormats: false }); // in JSON Schema 2020-12 a format says, it does not demand
for (const name of readdirSync(folder).filter((name) => /-2\..*\.json$/.test(name))) {
  ajv.compile(JSON.parse(readFileSync(`${folder}/${name}`, "utf8")));
}

async function print({ message }) {
  const document = JSON.parse(message.value);
  if (!ajv.validate(message.headers.ce_dataschema.toString(), document)) {
    throw new Error(`not valid: ${ajv.errorsText()}`);
  }
  console.log(JSON.stringify(document));
}

function end(error) {
  console.error(error);
  process.exit(1); // what KafkaJS hears of, it tries again
}

const kafka = new Kafka({ brokers: [servers], logLevel: logLevel.WARN }); // what is below that goes to the output
const consumer = kafka.consumer({ groupId: randomUUID() }); // it reads in groups only
await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
await consumer.run({ autoCommit: false, eachMessage: (record) => print(record).catch(end) });
