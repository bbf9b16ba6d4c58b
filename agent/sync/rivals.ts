import { bindingName, type Claim, type Frontend, overlap } from "../desired/state.ts";
import type { Presence } from "../kernel.ts";

/** Milliseconds. */
interface Patience {
  /**
   * For so long a claim has to be missing in look after look before it counts as given up, unless it is known that nobody
   * flushed all rules: an installation whose rules were flushed has them again by then, as it looks every 4 s.
   */
  missing: number;
  /** For so long nobody has to have refreshed the lease of a table before it has no owner: five refreshes in vain. */
  silent: number;
}

const usual: Patience = { missing: 5_000, silent: 300_000 };

/**
 * What other installations on the node have, over several looks at it. The time is the looker's own, not what others wrote:
 * a node's clock may jump by years when it starts.
 */
export class Rivals {
  readonly #claims = new Map<string, { claim: Claim; missing: number | undefined }>();
  readonly #leases = new Map<string, { lease: string; since: number }>();

  /** Which our own rules were at the last look. */
  #own: string | undefined;

  constructor(readonly patience = usual) {}

  /**
   * Takes in what a look found at this time; returns what others have, or had a moment ago. An installation all of whose rules
   * are gone has given up what it had, as one that is removed, if our own are the same that they were at the look before: they
   * would have gone with its rules in a flush.
   */
  look(claims: Claim[], now: number, presence?: Presence): Claim[] {
    const isSame = presence?.own !== undefined && presence.own === this.#own;
    this.#own = presence?.own;
    const isGone = ({ instance }: Claim) => isSame && !presence.instances.has(instance);
    const seen = new Map(claims.map((claim) => [`${claim.instance} ${bindingName(claim)}`, claim]));
    for (const [name, claim] of seen) this.#claims.set(name, { claim, missing: undefined });
    for (const [name, known] of this.#claims) {
      if (seen.has(name)) continue;
      // Not where it was missing at the look before, which may have found a flush.
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
   * The installations whose rules nobody keeps any more, and that can go: they are in the way of one of these frontends,
   * and have no magic IP that is not among them, as an installation that was renamed.
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

  /** Its rules are removed; nobody has to wait for it. */
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
