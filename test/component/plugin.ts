import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { promisify } from "node:util";
import type * as Grpc from "@grpc/grpc-js";

const require = createRequire(import.meta.resolve("@pulumi/pulumi"));
const grpc = require("@grpc/grpc-js") as typeof Grpc;
const { ResourceProviderClient } = require("@pulumi/pulumi/proto/provider_grpc_pb.js");
const messages = require("@pulumi/pulumi/proto/provider_pb.js");
const { Struct } = require("google-protobuf/google/protobuf/struct_pb.js");

/** A package that is served to programs in other languages. */
export interface Plugin {
  schema(): Promise<Schema>;
  /** Makes a component, as the engine does for such a program. Rejects with what the package says. */
  construct(type: string, name: string, inputs: object): Promise<Record<string, unknown>>;
  stop(): void;
}

/** As much of Pulumi's schema as tests look into. */
export interface Schema {
  name: string;
  version: string;
  resources: Record<string, { requiredInputs: string[]; inputProperties: object; properties: object }>;
  types: Record<
    string,
    { properties?: Record<string, { description?: string }>; enum?: { value: string }[] }
  >;
  dependencies: unknown[];
}

/** Serves the package in the directory by Pulumi's own plugin host; what it makes goes to the engine's address. */
export async function servePlugin(directory: string, engine: string): Promise<Plugin> {
  const host = require.resolve("@pulumi/pulumi/cmd/run-plugin");
  const child = spawn(process.execPath, [host, directory, engine], {
    cwd: directory,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const port = await firstLine(child);
  const client = new ResourceProviderClient(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  const [getSchema, construct] = [client.getSchema, client.construct].map((call) =>
    promisify(call).bind(client),
  );
  return {
    schema: async () => JSON.parse((await getSchema(new messages.GetSchemaRequest())).getSchema()) as Schema,
    construct: async (type, name, inputs) =>
      (await construct(request(engine, type, name, inputs))).getState().toJavaScript(),
    stop: () => {
      client.close();
      child.kill();
    },
  };
}

function request(engine: string, type: string, name: string, inputs: object) {
  return new messages.ConstructRequest()
    .setProject("test")
    .setStack("test")
    .setDryrun(true)
    .setParallel(1)
    .setMonitorendpoint(engine)
    .setType(type)
    .setName(name)
    .setInputs(Struct.fromJavaScript(inputs));
}

/** The host's first line is its port; a host that ends before it has said why on its standard error. */
async function firstLine(child: ChildProcessByStdio<null, Readable, null>): Promise<string> {
  for await (const line of createInterface({ input: child.stdout })) return line;
  throw new Error(`Pulumi's plugin host ended without a port, exit code ${child.exitCode}`);
}
