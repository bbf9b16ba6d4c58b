// Patterns of texts, in the regular-expression syntax that JavaScript and Go share: the code here and the chart's
// templates use the same ones.

/** RFC 1123 label, as the API server demands of a namespace's name. */
export const namespacePattern = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/** RFC 6335 service name, as the API server demands of a container port's name: with a letter, at most 15 characters. */
export const portNamePattern = /^([0-9]+-)*[0-9]*[a-z][a-z0-9]*(-[a-z0-9]+)*$/;
export const portNameLength = 15;

/** The first and the last port number. */
export const portNumbers = { minimum: 1, maximum: 65535 } as const;
