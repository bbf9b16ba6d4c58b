import * as pulumi from "@pulumi/pulumi";
import { vi } from "vitest";

/** A resource as the program registered it. */
export interface Resource {
  type: string;
  name: string;
  inputs: Record<string, unknown>;
}

/** Puts Pulumi's mocks in place, once a test file; returns the list that fills with what programs register. */
export async function mockPulumi({ preview = false } = {}): Promise<Resource[]> {
  const resources: Resource[] = [];
  await pulumi.runtime.setMocks(
    {
      newResource: ({ type, name, inputs, id }) => {
        resources.push({ type, name, inputs });
        return { id: id || `${name}-id`, state: inputs };
      },
      call: ({ inputs }) => inputs,
    },
    "magic-ip-address",
    "test",
    preview,
  );
  return resources;
}

/** The inputs of the helm.v4.Chart of that name, as soon as it is registered. */
export async function chartOf(resources: Resource[], name: string): Promise<Record<string, unknown>> {
  const isChart = (each: Resource) => each.type === "kubernetes:helm.sh/v4:Chart" && each.name === name;
  const { inputs } = await vi.waitUntil(() => resources.find(isChart));
  return inputs;
}

/** The value of an output, or undefined when it is not known. */
export async function known<T>(output: pulumi.Output<T>): Promise<T | undefined> {
  const inner = output as unknown as { isKnown: Promise<boolean>; promise(): Promise<T> };
  return (await inner.isKnown) ? inner.promise() : undefined;
}
