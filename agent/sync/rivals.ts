import { bindingName, type Claim, type Frontend, overlap } from "../desired/state.ts";
import type { Presence } from "../kernel.ts";

/** Milliseconds. */
interface Patience {
  /**
   * How long a claim must be missing in every look before it counts as removed, unless it is known that no program
   * flushed all rules: an installation looks every 4 s, so it has restored flushed rules by then.
   */
  missing: number;
  /** How long the lease of a table must be unchanged before the table has no owner: five missed refreshes. */
  silent: number;
}

const usual: Patience = { missing: 5_000, silent: 300_000 };

/**
 * The bindings of other installations on the node, over several looks. Times are this agent's own, not those that other
 * agents wrote, because a node's clock may jump by years when the node starts.
 */
export class Rivals {
  readonly #claims = new Map<string, { claim: Claim; missing: number | undefined }>();
  readonly #leases = new Map<string, { lease: string; since: number }>();

  /** The handle of our own rules at the last look (`Presence.own`). */
  #own: string | undefined;

  constructor(readonly patience = usual) {}

  /**
   * Records the claims that a look found at this time; returns the claims that other installations have, or had a
   * moment ago. An installation without any rules counts as removed at once, if our own rules are the same as at the
   * look before: a flush would have deleted ours, too.
   */
  look(claims: Claim[], now: number, presence?: Presence): Claim[] {
    const isSame = presence?.own !== undefined && presence.own === this.#own;
    this.#own = presence?.own;
    const isGone = ({ instance }: Claim) => isSame && !presence.instances.has(instance);
    const seen = new Map(claims.map((claim) => [`${claim.instance} ${bindingName(claim)}`, claim]));
    for (const [name, claim] of seen) this.#claims.set(name, { claim, missing: undefined });
    for (const [name, known] of this.#claims) {
      if (seen.has(name)) continue;
      // Not if it was missing at the look before: that look may have seen a flush.
      if (known.missing === undefined && isGone(known.claim)) this.#claims.delete(name);
      known.missing ??= now;
      if (now - known.missing >= this.patience.missing) this.#claims.delete(name);
    }
    this.#takeLeases(claims, now);
    return this.claims;
  }

  get claims(): Claim[] {
    return [...this.#claims.values()].map(({ claim }) => claim);
  }

  /**
   * The installations whose rules no agent keeps any more and that may be removed, such as a renamed installation: they
   * overlap one of these frontends, and all their magic IPs are among those of the frontends.
   */
  abandoned(frontends: Frontend[], now: number): string[] {
    const silent = [...this.#leases].filter(([, { since }]) => now - since >= this.patience.silent);
    if (silent.length === 0) return [];
    const ips = new Set(frontends.map(({ ipAddress }) => ipAddress));
    return silent
      .map(([instance]) => instance)
      .filter((instance) => {
        const own = this.claims.filter((claim) => claim.instance === instance);
        return (
          own.every(({ ipAddress }) => ips.has(ipAddress)) &&
          own.some((claim) => frontends.some((frontend) => overlap(frontend, claim)))
        );
      });
  }

  /** Forgets an installation whose rules were removed, without waiting for `missing`. */
  forget(instance: string): void {
    this.#leases.delete(instance);
    for (const [name, { claim }] of this.#claims) {
      if (claim.instance === instance) this.#claims.delete(name);
    }
  }

  #takeLeases(claims: Claim[], now: number): void {
    const leases = new Map(claims.map(({ instance, lease }) => [instance, lease]));
    for (const instance of this.#leases.keys()) if (!leases.has(instance)) this.#leases.delete(instance);
    for (const [instance, lease] of leases) {
      if (lease === undefined) this.#leases.delete(instance);
      else if (this.#leases.get(instance)?.lease !== lease) this.#leases.set(instance, { lease, since: now });
    }
  }
}
