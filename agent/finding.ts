/** Something of the node that keeps traffic to a magic IP from its target, or that one should know. */
export interface Finding {
  code: string;
  /** `fail`: traffic fails; `warn`: some of it may; `info`: it works, and differs from what one may expect. */
  severity: "fail" | "warn" | "info";
  message: string;
  remedy: string;
}
