import * as z from "zod";
import { configShape } from "../../agent/config/schema.ts";
import { kubernetesShape } from "./kubernetes-values.ts";
import { explainedValues } from "./values-comments.ts";

type Schema = z.core.JSONSchema.JSONSchema;

/**
 * The schema of the chart's values: names and kinds, and for editors the words, defaults and explanations. Helm stops where a
 * schema is not met, and shows patterns as they are: everything else is said by the templates, all of it at once.
 *
 * Helm before 3.18 knows draft-07 only, and since 3.18.5 it follows no reference out of the file. What is inside an object of
 * Kubernetes' is left to the API server.
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

/** What says nothing goes, and what the templates have better words for. */
function simplify(schema: Schema): void {
  if (JSON.stringify(schema.propertyNames) === '{"type":"string"}') delete schema.propertyNames;
  if (JSON.stringify(schema.properties) === "{}") delete schema.properties;
  if (JSON.stringify(schema.additionalProperties) === "{}") delete schema.additionalProperties;
  for (const limit of ["required", "minimum", "maximum", "minLength"] as const) delete schema[limit];
  if (schema.type === "integer") schema.type = "number";
  joinKinds(schema);
  if (schema.enum !== undefined) suggest(schema);
  for (const property of Object.values(schema.properties ?? {})) allowNull(property as Schema);
  if (typeof schema.additionalProperties === "object") allowNull(schema.additionalProperties);
}

/** "This or that" becomes one list of kinds: a refusal then is one line. */
function joinKinds(schema: Schema): void {
  const kinds = (schema.anyOf ?? []).map((each) => each.type);
  if (kinds.length === 0 || kinds.includes(undefined)) return;
  const [first] = schema.anyOf as [Schema];
  delete schema.anyOf;
  Object.assign(schema, first, { type: kinds });
}

/** Editors offer the words; another one is refused by the templates. */
function suggest(schema: Schema): void {
  const { enum: words } = schema;
  delete schema.enum;
  Object.assign(schema, { type: "string", anyOf: [{ enum: words }, {}] });
}

/** Null is the default; in a map of the user's own, it takes the key away. */
function allowNull(schema: Schema): void {
  const kinds = [schema.type].flat() as string[];
  if (!kinds.includes("null")) Object.assign(schema, { type: [...kinds, "null"] });
}

function propertyAt(properties: Record<string, Schema>, [key = "", ...rest]: string[]): Schema {
  const found = properties[key];
  if (found === undefined) throw new Error(`values.yaml explains ${key}, which the schema does not know`);
  return rest.length === 0 ? found : propertyAt(found.properties as Record<string, Schema>, rest);
}
