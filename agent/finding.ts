/** A condition of the node that keeps traffic to a magic IP from its target, or that an operator should know. */
export interface Finding {
  code: string;
  /** `fail`: traffic fails; `warn`: some traffic may fail; `info`: traffic works, but not as an operator may expect. */
  severity: "fail" | "warn" | "info";
  message: string;
  remedy: string;
}
