import { describe, expect, it } from "vitest";
import { doctor } from "../../agent/doctor/preflight.ts";
import { examineNodes, found, onNode, read, sh, wanted } from "./examined.ts";

examineNodes();

const links = "ip link add cilium_host type veth peer name cilium_net";

/** As Cilium writes them (pkg/datapath/iptables of 1.18.6), with one of the flavours of iptables. */
const masquerading = (tool: string) => `${tool} -t nat -N CILIUM_POST_nat
  ${tool} -t nat -A POSTROUTING -m comment --comment "cilium-feeder: CILIUM_POST_nat" -j CILIUM_POST_nat
  ${tool} -t nat -A CILIUM_POST_nat -o cilium_host -m mark --mark 0xf00/0xf00 -m conntrack --ctstate DNAT -m comment --comment "hairpin traffic that originated from a local pod" -j SNAT --to-source 10.244.1.5`;

const forwarding = (tool: string, packets: number) => `${tool} -N CILIUM_FORWARD
  ${tool} -A CILIUM_FORWARD -o cilium_host -m comment --comment "cilium: any->cluster on cilium_host forward accept" -j ACCEPT -c 7 420
  ${tool} -A CILIUM_FORWARD -i lxc+ -m comment --comment "cilium: cluster->any on lxc+ forward accept" -j ACCEPT -c ${packets} ${packets * 60}`;

const kubeProxy: Record<string, string> = {
  "iptables-nft": "iptables-nft -t nat -N KUBE-SERVICES",
  "iptables-legacy": "iptables-legacy -t nat -N KUBE-SERVICES",
  nftables: "nft add table ip kube-proxy; nft add chain ip kube-proxy services",
  IPVS: "ip link add kube-ipvs0 type bridge",
};

describe.each(["iptables-nft", "iptables-legacy"])("a node with Cilium, its rules by %s", (tool) => {
  it("in the place of kube-proxy is unfit, with masquerade, too, as long as nothing speaks for legacy host routing", async () => {
    await sh(`${links}; ${forwarding(tool, 0)}`);
    const unfit = { code: "CILIUM_REPLACES_KUBE_PROXY", severity: "fail" };
    expect(await found()).toMatchObject([unfit]);
    expect(await found(wanted({ masquerade: "always" }))).toMatchObject([unfit, { code: "CLIENTS_HIDDEN" }]);
    const { text, ok } = await doctor(wanted(), onNode, read);
    expect(ok).toBe(false);
    expect(text).toMatch(/^this node cannot serve 169\.254\.210\.210 as it is: 1 to repair$/m);
  });

  it("that forwards pods' packets may serve with masquerade, and only so", async () => {
    await sh(`${links}; ${forwarding(tool, 12)}`);
    expect(await found()).toMatchObject([{ code: "CILIUM_REPLACES_KUBE_PROXY", severity: "fail" }]);
    expect(await found(wanted({ masquerade: "always" }))).toMatchObject([
      { code: "CILIUM", severity: "warn" },
      { code: "CLIENTS_HIDDEN", severity: "info" },
    ]);
  });

  it.each(Object.keys(kubeProxy))(
    "beside kube-proxy with %s serves, and the client's address is lost",
    async (mode) => {
      await sh(`${links}; ${masquerading(tool)}; ${forwarding(tool, 0)}`);
      expect(await found()).toMatchObject([{ code: "CILIUM_REPLACES_KUBE_PROXY", severity: "fail" }]);
      await sh(kubeProxy[mode] ?? "");
      expect(await found()).toMatchObject([
        { code: "CILIUM", severity: "info", message: expect.stringContaining("instead of the client's") },
      ]);
    },
  );
});

it.each([
  ["bpfin.cali", "CALICO_EBPF", "fail", "linuxDataplane"],
  ["ovn-k8s-mp0", "OPEN_VSWITCH", "warn", "call a magic IP"],
  ["antrea-gw0", "OPEN_VSWITCH", "warn", "call a magic IP"],
])("a node with the interface %s: %s, %s", async (link, code, severity, remedy) => {
  await sh(`ip link add ${link} type bridge`);
  expect(await found()).toMatchObject([{ code, severity, remedy: expect.stringContaining(remedy) }]);
});
