/** What is wrong with one value. */
export interface Fault {
  /** The property, as `addresses[0].ports[1].port`. */
  path: string;
  /** What is wrong with the value, what the value is, and what would be right. */
  reason: string;
}
