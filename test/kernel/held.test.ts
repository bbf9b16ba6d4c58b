import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { desired } from "../../agent/desired/desired.ts";
import { bindingName, pairName } from "../../agent/desired/state.ts";
import { node } from "../agent/node-facts.ts";
import { address, config, pod } from "../agent/state.ts";
import { ensurePackages } from "../support/debian.ts";
import { backendNames, makeBackend } from "./backends.ts";
import { Namespaces } from "./namespaces.ts";

const namespaces = new Namespaces();

beforeAll(async () => {
  await ensurePackages(["nftables", "iptables", "iproute2"]);
  await namespaces.add("node");
});
afterAll(() => namespaces.deleteAll());

const ports = [
  { port: 80, targetPort: 8080 },
  { port: 81, protocol: "UDP" },
  { port: 8000, endPort: 8010, protocol: "SCTP" },
];
const addresses = [
  address({ ipv6Address: "fd00:210::210", ports }),
  address({ ipAddress: "169.254.210.211", ipv6Address: "fd00:210::211", ports: undefined }),
  address({ ipAddress: "169.254.210.212", ports, loadBalance: true }),
  address({ ipAddress: "169.254.210.213", selector: "app=none" }),
];
const pods = [
  pod("a", { ips: ["10.244.1.7", "fd00:9::7"] }),
  pod("b", { ips: ["10.244.1.8", "fd00:9::8"], created: "2026-11-02T00:00:00Z" }),
];

describe.each(backendNames)("%s", (name) => {
  it("tells where rules that are there lead, whoever wrote them", async () => {
    const state = desired(config({ addresses }), node, pods);
    await makeBackend(name, namespaces.command("node"), namespaces.tables("node")).write(state);
    const backend = makeBackend(name, namespaces.command("node"), namespaces.tables("node"));
    const held = await backend.held(state.instance);
    await backend.remove(state.instance);
    // Which slot of a load balanced binding comes first is the kernel's hash.
    for (const places of held.targets.values()) places.sort((one, other) => (one.ip < other.ip ? -1 : 1));
    const expected = state.bindings.filter(({ targets }) => targets.length > 0);
    const places = expected.map((binding) => [
      bindingName(binding),
      binding.targets
        .map(({ ip, port }) => ({ ip, port }))
        .sort((one, other) => (one.ip < other.ip ? -1 : 1)),
    ]);
    expect(held.targets).toEqual(new Map(places as [string, { ip: string; port: number | undefined }[]][]));
    expect(held.live.map(pairName).toSorted()).toEqual(state.live.map(pairName).toSorted());
  });

  it("tells of no rules, where there are none", async () => {
    const held = await makeBackend(name, namespaces.command("node"), namespaces.tables("node")).held(
      "another",
    );
    expect(held).toEqual({ targets: new Map(), live: [] });
  });
});
