import * as z from "zod";
import { configShape } from "../../agent/schema.ts";
import { kubernetesShape } from "./kubernetes-values.ts";
import { explainedValues } from "./values-comments.ts";

type Schema = z.core.JSONSchema.JSONSchema;

/**
 * The schema of the chart's values. Helm before 3.18 knows draft-07 only, and since 3.18.5 it follows no reference out of the
 * file. What is inside an object of Kubernetes' is left to the API server.
 */
export function valuesSchema(valuesYaml: string): string {
  const { healthPort, metricsPort, ...others } = configShape.omit({ instance: true }).shape;
  const shape = z.strictObject({
    global: z.looseObject({}).optional().describe("Helm gives it to every subchart; not used here."),
    enabled: z.boolean().optional().describe("For charts that have this one as a dependency."),
    ...others,
    healthPort: healthPort.removeDefault().nullable(),
    metricsPort: metricsPort.unwrap().nullable(),
    ...kubernetesShape.shape,
  });
  const { $schema, ...schema } = z.toJSONSchema(shape.partial(), {
    target: "draft-7",
    io: "input",
    override: ({ jsonSchema }) => simplify(jsonSchema),
  }) as Schema;
  const properties = schema.properties as Record<string, Schema>;
  for (const { path, text, default: value } of explainedValues(valuesYaml))
    Object.assign(propertyAt(properties, path.split(".")), { description: text, default: value });
  const title = "Values of the chart magic-ip-address";
  return JSON.stringify({ $schema, $comment: "Made by `npm run generate`.", title, ...schema });
}

/** What says nothing goes, and "this or null" becomes one type, whose refusals name the limit and not the alternatives. */
function simplify(schema: Schema): void {
  if (JSON.stringify(schema.propertyNames) === '{"type":"string"}') delete schema.propertyNames;
  if (JSON.stringify(schema.properties) === "{}") delete schema.properties;
  if (JSON.stringify(schema.additionalProperties) === "{}") delete schema.additionalProperties;
  if (schema.enum !== undefined) delete schema.type;
  if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum;
  const [some, none, ...more] = schema.anyOf ?? [];
  if (typeof some !== "object" || typeof none !== "object" || none.type !== "null" || more.length > 0) return;
  if (typeof some.type !== "string") return;
  delete schema.anyOf;
  Object.assign(schema, { ...some, type: [some.type, "null"] });
}

function propertyAt(properties: Record<string, Schema>, [key = "", ...rest]: string[]): Schema {
  const found = properties[key];
  if (found === undefined) throw new Error(`values.yaml explains ${key}, which the schema does not know`);
  return rest.length === 0 ? found : propertyAt(found.properties as Record<string, Schema>, rest);
}
