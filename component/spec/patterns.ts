// What texts look like, in the part of regular expressions that JavaScript and Go read alike: the code here and the
// schema of the chart's values are made from the same ones.

/** RFC 1123 label, as the API server demands of a namespace's name. */
export const namespacePattern = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/** RFC 6335 service name, as the API server demands of a container port's name: with a letter, at most 15 characters. */
export const portNamePattern = /^([0-9]+-)*[0-9]*[a-z][a-z0-9]*(-[a-z0-9]+)*$/;
export const portNameLength = 15;

/** The first and the last port number. */
export const portNumbers = { minimum: 1, maximum: 65535 } as const;

const byte = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
const ipv4 = `(${byte}\\.){3}${byte}`;
const group = "[0-9a-fA-F]{0,4}";
/** A first sieve: `parseIpv6` counts the groups. */
const ipv6 = `${group}(:${group}){1,7}:(${group}|${ipv4})`;

/** An IPv4 address, or what may be an IPv6 address. */
export const ipPattern = new RegExp(`^(${ipv4}|${ipv6})$`);

/** What may be an IPv6 address. */
export const ipv6Pattern = new RegExp(`^${ipv6}$`);

/** What may be a block of addresses: `cidrComplaint` looks closer. */
export const cidrPattern = new RegExp(
  `^(${ipv4}/(3[0-2]|[12]?[0-9])|${ipv6}/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))$`,
);
