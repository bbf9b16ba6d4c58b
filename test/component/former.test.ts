import { describe, expect, it } from "vitest";
import { agentsIn, type FormerAgents, holderOf } from "../../component/former.ts";

const stack = "urn:pulumi:test::project::";
const chart = "kubernetes:helm.sh/v4:Chart$kubernetes:apps/v1:DaemonSet::";
const type = "magic-ip-address:index:MagicIpAddress";

describe("what the stack's state tells of our agents", () => {
  const endpoints = (...all: string[]) => ({
    outputs: { endpoints: Object.fromEntries(all.map((at) => [at, at])) },
  });
  const status = (numberReady: number) => ({
    outputs: { status: { desiredNumberScheduled: 3, numberReady } },
  });

  it("is their namespace, name and IPs, and whether all were ready, whatever the component is under", () => {
    const resources = {
      [`${stack}${type}::a`]: endpoints("169.254.210.210:80", "[fd00:210::210]:80", "169.254.210.211"),
      [`${stack}${type}$${chart}a:kube-system/a`]: status(3),
      [`${stack}my:index:Group$${type}es::b`]: endpoints("FD00::1"),
      [`${stack}my:index:Group$${type}es$${chart}b:infra/b`]: status(2),
      [`${stack}${type}$${chart}c:kube-system/c`]: {},
      [`${stack}other:index:Thing$${chart}d:kube-system/d`]: status(3),
      [`${stack}kubernetes:apps/v1:DaemonSet::e`]: status(3),
    };
    expect(agentsIn(resources)).toEqual([
      {
        ...{ namespace: "kube-system", name: "a", ready: true },
        ips: ["169.254.210.210", "fd00:210::210", "169.254.210.211"],
      },
      { namespace: "infra", name: "b", ready: false, ips: ["fd00::1"] },
      { namespace: "kube-system", name: "c", ready: false, ips: [] },
    ]);
  });
});

describe("an installation waits in vain for another", () => {
  const old: FormerAgents = { namespace: "kube-system", name: "a", ready: true, ips: ["169.254.210.210"] };
  const newcomer = { namespace: "kube-system", name: "b", ips: ["169.254.210.210"], isInRun: () => false };

  it("that is in the state and not in the program, and has its IP", () => {
    expect(holderOf(newcomer, [old])).toBe(old);
    expect(holderOf({ ...newcomer, namespace: "infra", name: "a" }, [old])).toBe(old);
  });

  it("as long as it was not seen ready itself", () => {
    const own = { ...old, name: "b" };
    expect(holderOf(newcomer, [{ ...own, ready: false }, old])).toBe(old);
    expect(holderOf(newcomer, [own, old])).toBeUndefined();
  });

  it("but for none that stays, none of other IPs, and not for itself", () => {
    expect(holderOf({ ...newcomer, isInRun: () => true }, [old])).toBeUndefined();
    expect(holderOf({ ...newcomer, ips: ["169.254.210.211"] }, [old])).toBeUndefined();
    expect(holderOf({ ...newcomer, name: "a" }, [{ ...old, ready: false }])).toBeUndefined();
  });
});
