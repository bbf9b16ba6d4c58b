import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { findings } from "../../agent/doctor/doctor.ts";
import type { Survey } from "../../agent/doctor/scope.ts";
import { config } from "./state.ts";
import { survey } from "./survey.ts";

const readme = await readFile(new URL("../../README.md", import.meta.url), "utf8");
const section = /^## Not served today\n(.*?)^## /ms.exec(readme)?.[1] ?? "";
const rows = [...section.matchAll(/^\| (.+?) \| (.+?) \|$/gm)].map(([, plane = "", says = ""]) => ({
  plane,
  says,
}));

const cilium = { replacesKubeProxy: true, masquerades: { ipv4: false, ipv6: false }, forwards: false };

describe("README's data planes that are not served", () => {
  it.each<[plane: string, node: Partial<Survey>]>([
    ["Cilium in place of kube-proxy", { cilium }],
    ["Cilium beside kube-proxy", { cilium: { ...cilium, replacesKubeProxy: false } }],
    ["GKE Dataplane V2", { cilium }],
    ["AKS with Azure CNI Powered by Cilium", { cilium }],
    ["Calico in eBPF mode", { interfaces: ["bpfin.cali", "bpfout.cali"] }],
    ["OVN-Kubernetes", { interfaces: ["ovn-k8s-mp0"] }],
  ])("has %s, and what the agent says there", (plane, node) => {
    const [{ code, severity } = { code: "none" }] = findings(config(), survey(node));
    const { says } = rows.find((row) => row.plane.startsWith(plane)) ?? {};
    expect(says).toContain(`\`${code}\``);
    expect(says).toContain(severity === "fail" ? "not ready" : "ready, with the warning");
  });

  it("stand in no contradiction to its first paragraph", () => {
    const [first = ""] = readme.split("\n```", 1);
    expect(first).toContain("(#not-served-today)");
    expect(first).not.toMatch(/no particular CNI|any CNI/);
  });
});
