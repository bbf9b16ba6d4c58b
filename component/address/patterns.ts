// What texts look like, in the part of regular expressions that JavaScript and Go read alike: the code here and the
// templates of the chart read the same ones.

/** RFC 1123 label, as the API server demands of a namespace's name. */
export const namespacePattern = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/** RFC 6335 service name, as the API server demands of a container port's name: with a letter, at most 15 characters. */
export const portNamePattern = /^([0-9]+-)*[0-9]*[a-z][a-z0-9]*(-[a-z0-9]+)*$/;
export const portNameLength = 15;

/** The first and the last port number. */
export const portNumbers = { minimum: 1, maximum: 65535 } as const;
