import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it } from "vitest";
import { conflicts } from "../../component/conflicts.ts";
import { argumentFaults, knownOf } from "../../component/faults.ts";
import { secretsIn, veiled } from "../../component/secrets.ts";
import { mockPulumi } from "./installation.ts";

await mockPulumi();

const { secret } = pulumi;
const subject = { type: "MagicIpAddresses", name: "a", pathOf: (path: string) => path };
const right = { ipAddress: "169.254.210.210", selector: "app=dd-agent", ports: [{ port: 8126 }] };
const one = (changes: object, others: object = {}) => ({ addresses: [{ ...right, ...changes }], ...others });

/** The arguments with their values, as Pulumi gives them to an apply. */
const resolved = (args: unknown) =>
  new Promise<unknown>((resolve) => {
    (pulumi.output(args) as pulumi.Output<unknown>).apply(resolve);
  });

/** What is told of the arguments, a line each. */
async function told(args: object): Promise<string[]> {
  const known = await resolved(args);
  const secrets = await secretsIn(args, known);
  return argumentFaults(subject, known)
    .map((fault) => veiled(fault, secrets))
    .map(({ path, reason }) => `${path}: ${reason}`);
}

describe("a secret argument that is wrong is told without its value (S10)", () => {
  it.each<[string, object, string[]]>([
    [
      "an address",
      one({ ipAddress: secret("10.11.12") }),
      ['addresses[0].ipAddress: [secret] is wrong, and not shown: write one like "169.254.210.210"'],
    ],
    [
      "a part of a selector",
      one({ selector: secret("app==pass=word") }),
      ['addresses[0].selector: [secret] is wrong, and not shown: write one like "app=dd-agent"'],
    ],
    [
      "a number",
      one({ ports: [{ port: secret(70123) }] }),
      ["addresses[0].ports[0].port: [secret] is wrong, and not shown: write one like 8126"],
    ],
    [
      "a whole list",
      { addresses: secret([{ ...right, ipAddress: "10.11.12", selector: "" }]) },
      [
        'addresses[0].ipAddress: [secret] is wrong, and not shown: write one like "169.254.210.210"',
        'addresses[0].selector: [secret] is wrong, and not shown: write one like "app=dd-agent"',
      ],
    ],
    [
      "an argument of the agent, in an Output in a promise",
      one({}, { agent: Promise.resolve({ image: secret("Pass:word:1") }) }),
      ['agent.image: [secret] is wrong, and not shown: write one like "magic-ip-address-agent"'],
    ],
    [
      "a value of another type, and a label",
      one({}, { skipAwait: secret("pass"), agent: { nodeSelector: { pool: secret(70123) } } }),
      [
        "agent.nodeSelector.pool: [secret] is wrong, and not shown",
        "skipAwait: [secret] is wrong, and not shown: write one like true or false",
      ],
    ],
    [
      "a name of an argument, in a secret",
      { addresses: [secret({ ...right, passw0rd: 1 })] },
      ["addresses[0].passw0rd: [secret] is wrong, and not shown"],
    ],
  ])("%s", async (_, args, lines) => {
    expect(await told(args)).toEqual(lines);
  });

  it("nor in a sentence about another argument", async () => {
    const agent = { allowedCidrs: [secret("10.11.0.0/16")] };
    expect(await told(one({}, { agent }))).toEqual([
      "addresses[0].ipAddress: 169.254.210.210 is in none of the allowedCidrs: choose an address in [secret]",
    ]);
    expect(await told(one({ ports: [{ port: secret(90), endPort: 80 }] }))).toEqual([
      "addresses[0].ports[0].endPort: 80 is less than port [secret]: write the last port of the range, [secret] to 65535",
    ]);
  });

  it("nor in a sentence about another component, which has the secret", async () => {
    const run = {};
    const install = async (name: string, args: object) => {
      const known = await resolved(args);
      const secrets = await secretsIn(args, known);
      const installed = { ...subject, name, cluster: "default", known: knownOf(known), secrets };
      return conflicts(run, installed).map((fault) => veiled(fault, secrets).reason);
    };
    await install("a", one({ ports: [{ port: secret(8120), endPort: 8130 }] }));
    expect(await install("b", one({}))).toEqual([
      '169.254.210.210:8126/TCP is taken by MagicIpAddresses "a", addresses[0].ports[0].port ([secret]-8130): a port can lead to one target only',
    ]);
  });

  it("and what is no secret is told as ever, beside one that is right", async () => {
    expect(await told(one({ ipAddress: "1.2.3", selector: secret("app=x") }))).toEqual([
      'addresses[0].ipAddress: "1.2.3" is not an IPv4 address: write four numbers 0–255, as 169.254.210.210',
    ]);
  });
});
