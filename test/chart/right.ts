import type { Values, Written } from "./mistakes.ts";
import { oneAddress } from "./render.ts";

const ip = (ipAddress: string): [string, object] => [`the address ${ipAddress}`, { ipAddress }];
const selector = (text: string): [string, object] => [`the selector ${text}`, { selector: text }];
const ports = (title: string, ...list: object[]): [string, object] => [title, { ports: list }];

const addresses: [string, object][] = [
  ...["169.254.210.210", "10.0.0.1", "192.0.2.1", "223.255.255.255", "126.255.255.255"].map(ip),
  ...["fd00:210::210", "FD00:0210::", "2001:db8:1:2:3:4:5:6", "2001:db8::10.1.2.3", "fd00:1:2:3:4:5:6::"].map(
    ip,
  ),
  ["an address of each family", { ipv6Address: "fd00:210::210" }],
  selector("app=dd-agent"),
  selector("app == dd-agent , tier!=canary"),
  selector("app in (a, b,), !canary"),
  selector("example.com/app notin (a,b),tier"),
  selector("app="),
  selector("app,! canary"),
  selector("app\t=\r\n a"),
  selector(`app=${"a".repeat(63)}`),
  ["a namespace of 63 letters", { namespace: "a".repeat(63) }],
  ["an answer", { whenNoTarget: "Pass" }],
  ["the whole IP", { ports: [] }],
  ports("the first and the last port", { port: 1 }, { port: 65535 }),
  ports(
    "one port over three protocols",
    { port: 53 },
    { port: 53, protocol: "UDP" },
    { port: 53, protocol: "SCTP" },
  ),
  ports("ranges side by side", { port: 1, endPort: 9 }, { port: 10, endPort: 10 }, { port: 11, endPort: 20 }),
  ports("a named target port, also of digits and a letter", {
    port: 1,
    targetPort: "1-2a-3",
    name: "1-2a-3",
  }),
  ports("another target port", { port: 1, targetPort: 65535 }),
];

const two = (first: object, second: object) =>
  [first, second].map((each) => ({ selector: "a=b", ipAddress: "169.254.210.210", ...each }));

const whole: [string, Values][] = [
  ["a whole IP beside one of its ports", { addresses: two({}, { ports: [{ port: 1 }] }) }],
  [
    "one port of two IPs",
    { addresses: two({ ipAddress: "fd00:210::1", ports: [{ port: 1 }] }, { ports: [{ port: 1 }] }) },
  ],
  [
    "the blocks that the address lies in",
    oneAddress({}, { allowedCidrs: ["fd00::/8", "169.254.210.208/30"] }) as Values,
  ],
  [
    "blocks of everything",
    oneAddress({ ipv6Address: "fd00::1" }, { allowedCidrs: ["0.0.0.0/0", "::/0"] }) as Values,
  ],
  ["a block of one", oneAddress({}, { allowedCidrs: ["169.254.210.210/32", "fd00::1/128"] }) as Values],
  [
    "the settings at their bounds",
    oneAddress({}, { healthPort: 1, metricsPort: 65535, pollInterval: 86400 }) as Values,
  ],
  [
    "the settings",
    oneAddress({}, { backend: "iptables", masquerade: "always", hostClients: false }) as Values,
  ],
];

/** Values that the agent, the component and the chart take. */
export const right: Written[] = [
  ...addresses.map(([title, address]) => ({ title, values: oneAddress(address) as Values })),
  ...whole.map(([title, values]) => ({ title, values })),
];
