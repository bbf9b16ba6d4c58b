import { createRequire } from "node:module";
import type * as Grpc from "@grpc/grpc-js";

const require = createRequire(import.meta.resolve("@pulumi/pulumi"));
const grpc = require("@grpc/grpc-js") as typeof Grpc;
const resourceService = require("@pulumi/pulumi/proto/resource_grpc_pb.js");
const resources = require("@pulumi/pulumi/proto/resource_pb.js");
const engineService = require("@pulumi/pulumi/proto/engine_grpc_pb.js");
const engines = require("@pulumi/pulumi/proto/engine_pb.js");
const { Empty } = require("google-protobuf/google/protobuf/empty_pb.js");
const { Struct } = require("google-protobuf/google/protobuf/struct_pb.js");

/** A resource that a program asked for. */
export interface Registration {
  type: string;
  name: string;
  parent: string;
  /** The URNs of what has to be there before. */
  dependencies: string[];
  inputs: Record<string, unknown>;
}

/** The engine's side of Pulumi, for a program that runs in a process of its own: it accepts everything and notes it. */
export interface Engine {
  /** Host and port, for the monitor and for the engine. */
  address: string;
  registrations: Registration[];
  /** What `registerOutputs` was called with, by URN. */
  outputs: Map<string, Record<string, unknown>>;
  /** What the CLI would print: severity (0 debug … 3 error) and text. */
  logs: { severity: number; message: string }[];
  stop(): void;
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- Pulumi's generated messages have no usable types.
type Call = Grpc.ServerUnaryCall<any, unknown>;

/** Starts an engine on a free port of the loopback. */
export async function startEngine(): Promise<Engine> {
  const notes: Omit<Engine, "address" | "stop"> = { registrations: [], outputs: new Map(), logs: [] };
  const server = new grpc.Server();
  server.addService(resourceService.ResourceMonitorService, monitor(notes));
  server.addService(engineService.EngineService, engine(notes));
  const address = await listen(server);
  return { ...notes, address, stop: () => server.forceShutdown() };
}

function monitor({ registrations, outputs }: Pick<Engine, "registrations" | "outputs">) {
  return {
    supportsFeature: answer(() => new resources.SupportsFeatureResponse().setHassupport(true)),
    registerResource: answer((request) => {
      const [type, name] = [request.getType(), request.getName()];
      const inputs = request.getObject()?.toJavaScript() ?? {};
      const dependencies = request.getDependenciesList();
      registrations.push({ type, name, parent: request.getParent(), dependencies, inputs });
      return (
        new resources.RegisterResourceResponse()
          .setUrn(`urn:pulumi:test::magic-ip-address::${type}::${name}`)
          // As a provider answers a preview: what was asked for, as far as it is known. A component's outputs come from it.
          .setObject(request.getCustom() ? request.getObject() : Struct.fromJavaScript({}))
      );
    }),
    registerResourceOutputs: answer((request) => {
      outputs.set(request.getUrn(), request.getOutputs()?.toJavaScript() ?? {});
      return new Empty();
    }),
    signalAndWaitForShutdown: answer(() => new Empty()),
  };
}

function engine({ logs }: Pick<Engine, "logs">) {
  return {
    log: answer((request) => {
      logs.push({ severity: request.getSeverity(), message: request.getMessage() });
      return new Empty();
    }),
    setRootResource: answer(() => new engines.SetRootResourceResponse()),
    requirePulumiVersion: answer(() => new engines.RequirePulumiVersionResponse()),
  };
}

function answer(respond: (request: Call["request"]) => unknown) {
  return (call: Call, callback: Grpc.sendUnaryData<unknown>) => callback(null, respond(call.request));
}

function listen(server: Grpc.Server): Promise<string> {
  return new Promise((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(`127.0.0.1:${port}`),
    );
  });
}
