/**
 * Whether tests run in their long form, as `npm run test:long` has them. What takes longer than the 6 minutes of `npm test`
 * allow has a short form there: fewer turns, or a smaller scene of the same mechanism.
 */
export const isLong = process.env.MAGIC_IP_TESTS === "long";
