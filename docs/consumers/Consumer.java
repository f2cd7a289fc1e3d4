// Prints the documents and events of a topic, each checked: Consumer.java HOST:PORT TOPIC FOLDER_OF_SCHEMAS

import com.networknt.schema.InputFormat;
import com.networknt.schema.Schema;
import com.networknt.schema.SchemaRegistry;
import com.networknt.schema.SpecificationVersion;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

class Consumer {
    public static void main(String[] arguments) throws IOException {
        var registry = SchemaRegistry.withDefaultDialect(SpecificationVersion.DRAFT_2020_12);
        var schemas = new HashMap<String, Schema>();
        try (var paths = Files.newDirectoryStream(Path.of(arguments[2]), "*-2.*.json")) {
            for (var path : paths) {
                var schema = registry.getSchema(Files.readString(path));
                schemas.put(schema.getId(), schema);
            }
        }
        var settings = Map.<String, Object>of("bootstrap.servers", arguments[0], "auto.offset.reset", "earliest");
        var strings = new StringDeserializer();
        try (var consumer = new KafkaConsumer<>(settings, strings, strings)) {
            var partitions = consumer.partitionsFor(arguments[1]).stream();
            consumer.assign(partitions.map(found -> new TopicPartition(found.topic(), found.partition())).toList());
            while (true) {
                for (var record : consumer.poll(Duration.ofSeconds(1))) {
                    var schema = schemas.get(new String(record.headers().lastHeader("ce_dataschema").value()));
                    var errors = schema.validate(record.value(), InputFormat.JSON);
                    if (!errors.isEmpty()) throw new IllegalArgumentException("not valid: " + errors);
                    System.out.println(record.value());
                }
            }
        }
    }
}
