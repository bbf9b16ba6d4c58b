import * as pulumi from "@pulumi/pulumi";
import { known } from "../component/installation.ts";

/** What a program registered, without the wrappers that Pulumi's wire format puts around Outputs (sdk/nodejs/runtime/rpc.ts). */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- read by path, and a wrong path is a failing test.
export async function plain(inputs: unknown): Promise<any> {
  return known(pulumi.output(pulumi.runtime.deserializeProperty(inputs)));
}
