import { describe, expect, it } from "vitest";
import { ConfigError, parseConfig } from "../../agent/config/config.ts";
import { configShape } from "../../agent/config/schema.ts";
import { argumentFaults } from "../../component/faults.ts";
import { expectGolden } from "../support/golden.ts";
import { mistakes, mistakesOfRollout, mistakesOfSettings, type Written } from "./mistakes.ts";
import { chartFaults } from "./render.ts";
import { right } from "./right.ts";

/** What the agent says of the values when they stand in its configuration. */
function agentFaults({ values }: Written): string[] {
  const config = Object.entries(values).filter(([name]) => Object.hasOwn(configShape.shape, name));
  try {
    parseConfig(JSON.stringify(Object.fromEntries(config)));
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.faults.map(({ path, reason }) => `${path}: ${reason}`).sort();
  }
}

/** What the component says of them when they are its arguments, at the paths of the values. */
function componentFaults({ values: { addresses, ...settings }, agent = settings }: Written): string[] {
  const subject = { type: "MagicIpAddresses", name: "magic-ip", pathOf: (path: string) => path };
  return argumentFaults(subject, { addresses: addresses?.map(argument), agent })
    .map(({ path, reason }) => `${valuePath(path)}: ${reason}`)
    .sort();
}

/** The component has two arguments for a target port. */
function argument(address: { ports?: { targetPort?: unknown }[] }): object {
  const { ports } = address;
  const named = ports?.map(({ targetPort, ...port }) =>
    typeof targetPort === "string" ? { ...port, targetPortName: targetPort } : { ...port, targetPort },
  );
  return { ...address, ports: named };
}

const otherNames: Record<string, string> = {
  imagePullPolicy: "image.pullPolicy",
  "updateStrategy.maxUnavailable": "updateStrategy.rollingUpdate.maxUnavailable",
};

function valuePath(argumentPath: string): string {
  const path = argumentPath.replace(/^agent\./, "").replace(/targetPortName$/, "targetPort");
  return otherNames[path] ?? path;
}

const paths = (faults: string[]) => faults.map((fault) => fault.split(":")[0]);

/** At most three at a time: each is a process. */
const ofChart = new Map<string, string[]>();
const all = [...mistakes, ...mistakesOfSettings, ...mistakesOfRollout, ...right];
for (let next = 0; next < all.length; next += 3) {
  const some = all.slice(next, next + 3);
  const faults = await Promise.all(some.map(({ values }) => chartFaults({ values })));
  some.forEach(({ title }, index) => ofChart.set(title, faults[index]?.toSorted() ?? []));
}

describe("Helm, the agent and the component", () => {
  it.each(mistakes)("say the same of $title", (written) => {
    const faults = agentFaults(written);
    expect(faults).not.toEqual([]);
    expect(ofChart.get(written.title)).toEqual(faults);
    expect(componentFaults(written)).toEqual(faults);
  });

  it.each(mistakesOfSettings)("refuse at the same path, Helm in the agent's words, $title", (written) => {
    const faults = agentFaults(written);
    expect(faults).not.toEqual([]);
    expect(ofChart.get(written.title)).toEqual(faults);
    expect(paths(componentFaults(written))).toEqual(paths(faults));
  });

  it.each(right)("take $title", (written) => {
    const all = [ofChart.get(written.title), agentFaults(written), componentFaults(written)];
    expect(all).toEqual([[], [], []]);
  });
});

describe("Helm and the component", () => {
  it.each(mistakesOfRollout)("say the same of $title", (written) => {
    const faults = componentFaults(written);
    expect(faults).not.toEqual([]);
    expect(ofChart.get(written.title)).toEqual(faults);
  });
});

it("Helm's sentence of each mistake is the one in the list", () => {
  const wrong = [...mistakes, ...mistakesOfSettings, ...mistakesOfRollout];
  const list = wrong.map(
    ({ title }) =>
      `${title}\n${ofChart
        .get(title)
        ?.map((line) => `  ${line}\n`)
        .join("")}`,
  );
  expectGolden(new URL("./golden/mistakes.txt", import.meta.url), list.join(""));
});

it("there are more than 60 mistakes and 25 right configurations, each with a title of its own", () => {
  expect(new Set(all.map(({ title }) => title)).size).toBe(all.length);
  expect(all.length - right.length).toBeGreaterThan(60);
  expect(right.length).toBeGreaterThan(25);
});
