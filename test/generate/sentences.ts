import { ConfigError, parseConfig } from "../../agent/config/config.ts";
import { doubts } from "../../component/doubts.ts";
import { argumentFaults } from "../../component/faults.ts";

// What the chart's templates say of wrong values, in the words of the agent and of the component: each sentence is taken
// from an error that they make. Words of the configuration in it become ⟦1⟧, ⟦2⟧ …, which the templates fill in.

/** A wrong configuration with one fault, and the words of its sentence that the templates fill in. */
interface Probe {
  faults: { reason: string }[];
  words?: string[];
}

/** The sentences by their names. */
export function sentences(): Record<string, string> {
  return Object.fromEntries(Object.entries(probes()).map(([name, probe]) => [name, sentence(name, probe)]));
}

function sentence(name: string, { faults, words = [] }: Probe): string {
  const [fault, ...others] = faults;
  if (fault === undefined || others.length > 0)
    throw new Error(`the probe ${name} has ${faults.length} faults: one is needed`);
  const missing = words.filter((word) => !fault.reason.includes(word));
  if (missing.length > 0)
    throw new Error(`the sentence ${name} does not name ${missing.join()}: ${fault.reason}`);
  if (words.length === 0) return fault.reason;
  const anyWord = new RegExp(words.map((word) => RegExp.escape(word)).join("|"), "g");
  return fault.reason.replace(anyWord, (word) => `⟦${words.indexOf(word) + 1}⟧`);
}

function probes(): Record<string, Probe> {
  return {
    ...ipProbes(),
    ...cidrProbes(),
    ...selectorProbes(),
    ...portProbes(),
    ...claimProbes(),
    ...otherProbes(),
  };
}

function ipProbes(): Record<string, Probe> {
  const ip = (ipAddress: string, ...words: string[]) => ({ faults: ofAddress({ ipAddress }), words });
  return {
    ipv4: ip("wrong", "wrong"),
    ipv6: ip("wrong:", "wrong:"),
    ipv6Zone: ip("fe80::1%eth0", "fe80::1%eth0"),
    reservedIpv4: ip("169.254.169.254", "169.254.169.254", "the cloud's instance metadata service"),
    reservedIpv6: ip("fd00:ec2::254", "fd00:ec2::254", "Amazon's instance metadata service"),
    twoIpv6: {
      faults: ofAddress({ ipAddress: "fd00:210::1", ipv6Address: "fd00:210::2" }),
      words: ["fd00:210::2", "fd00:210::1"],
    },
  };
}

function cidrProbes(): Record<string, Probe> {
  const cidr = (text: string, ...words: string[]) => ({
    faults: ofAddress({}, { allowedCidrs: [text] }),
    words,
  });
  return {
    cidr: cidr("wrong", "wrong"),
    cidrOfIpv4: cidr("10.1.2.3", "10.1.2.3"),
    cidrOfIpv6: cidr("fd00::1", "fd00::1"),
    cidrFirst: cidr("10.1.2.3/8", "10.1.2.3/8", "10.0.0.0/8"),
    notAllowed: cidr("10.0.0.0/8", "169.254.210.210", "10.0.0.0/8"),
  };
}

function selectorProbes(): Record<string, Probe> {
  const selector = (text: string, ...words: string[]) => ({ faults: ofAddress({ selector: text }), words });
  return {
    selectorEmpty: selector(""),
    selectorComma: selector("a=b,,", "a=b,,"),
    selectorPart: selector("two words", "two words"),
    selectorOrder: selector("wrong>1", "wrong>1"),
    selectorKey: selector("-wrong=b", "-wrong"),
    selectorValue: selector("a=-wrong", "-wrong"),
  };
}

function portProbes(): Record<string, Probe> {
  const ports = (port: object, ...words: string[]) => ({ faults: ofAddress({ ports: [port] }), words });
  return {
    port: ports({ port: 70001 }, "70001"),
    endPort: ports({ port: 4242, endPort: 4141 }, "4141", "4242"),
    targetPortOfRange: ports({ port: 4242, endPort: 4343, targetPort: 4444 }, "4444", "4343"),
    targetPort: ports({ port: 4242, targetPort: "-wrong" }, "-wrong"),
    protocol: ports({ port: 4242, protocol: "wrong" }, "wrong"),
    portName: ports({ port: 4242, name: "-wrong" }, "-wrong"),
    portNameTaken: {
      faults: ofAddress({ ports: [1, 2].map((port) => ({ port, name: "same" })) }),
      words: ["same", "addresses[0].ports[0].name"],
    },
  };
}

function claimProbes(): Record<string, Probe> {
  const both = (address: object) => ofConfig({ addresses: [1, 2].map(() => ({ ...right, ...address })) });
  return {
    portTaken: {
      faults: both({ ports: [{ port: 4242 }] }),
      words: ["169.254.210.210:4242/TCP", "addresses[0].ports[0].port"],
    },
    ipTaken: { faults: both({}), words: ["169.254.210.210", "addresses[0].ipAddress"] },
  };
}

function otherProbes(): Record<string, Probe> {
  const setting = (settings: object, ...words: string[]) => ({ faults: ofAddress({}, settings), words });
  const doubt = (ipAddress: string, ...words: string[]) => ({
    faults: doubts({ addresses: [{ ipAddress }] }),
    words: [ipAddress, ...words],
  });
  const agent = (settings: object, ...words: string[]) => ({ faults: ofArguments(settings), words });
  return {
    addresses: { faults: ofConfig({ addresses: [] }) },
    textMissing: { faults: ofAddress({ selector: undefined }) },
    numberMissing: { faults: ofAddress({ ports: [{}] }) },
    namespace: { faults: ofAddress({ namespace: "-wrong" }), words: ["-wrong"] },
    whenNoTarget: { faults: ofAddress({ whenNoTarget: "wrong" }), words: ["wrong"] },
    notWhole: setting({ healthPort: 1.5 }, "1.5"),
    tooSmall: setting({ healthPort: -5 }, "-5", "1"),
    tooBig: setting({ healthPort: 70001 }, "70001", "65535"),
    metricsPort: setting({ metricsPort: 61500, healthPort: 61500 }, "61500"),
    backend: setting({ backend: "wrong" }, "wrong"),
    masquerade: setting({ masquerade: "wrong" }, "wrong"),
    publicAddress: doubt("8.8.8.8"),
    addressOfServices: doubt("10.96.0.1", "10.96.0.0/12 of kubeadm and kind"),
    image: agent({ image: "wrong:" }, '"wrong:"'),
    pullPolicy: agent({ imagePullPolicy: "wrong" }, "wrong"),
    updateStrategy: agent({ updateStrategy: { type: "wrong" } }, "wrong"),
    maxUnavailable: agent({ updateStrategy: { maxUnavailable: "wrong" } }, '"wrong"'),
  };
}

const right = { ipAddress: "169.254.210.210", selector: "app=dd-agent" };

function ofAddress(address: object, others: object = {}): { reason: string }[] {
  return ofConfig({ addresses: [{ ...right, ...address }], ...others });
}

function ofConfig(config: object): { reason: string }[] {
  try {
    parseConfig(JSON.stringify(config));
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
}

function ofArguments(agent: object): { reason: string }[] {
  const subject = { type: "MagicIpAddresses", name: "magic-ip", pathOf: (path: string) => path };
  return argumentFaults(subject, { addresses: [right], agent });
}
