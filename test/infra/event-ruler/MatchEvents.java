import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import java.util.Map;
import software.amazon.event.ruler.Machine;

/**
 * Reads {"patterns": {"name": {…}}, "events": [{…}]} and writes, for each event in their order, the names of the patterns
 * that match it.
 */
class MatchEvents {
  public static void main(String[] args) throws Exception {
    ObjectMapper json = new ObjectMapper();
    JsonNode input = json.readTree(System.in);
    Machine machine = Machine.builder().build();
    for (Map.Entry<String, JsonNode> pattern : input.get("patterns").properties()) {
      machine.addRule(pattern.getKey(), pattern.getValue().toString());
    }
    ArrayNode matched = json.createArrayNode();
    for (JsonNode event : input.get("events")) {
      ArrayNode names = matched.addArray();
      machine.rulesForJSONEvent(event.toString()).stream().sorted().forEach(names::add);
    }
    System.out.println(matched);
  }
}
