import { type Conversation, type Converse, converse } from "./command.ts";

/** What nft says to a question that needs no kernel, and says after everything before it. */
const marker = { question: "describe ct direction", answer: "ct expression, datatype ct_dir" };

/** Milliseconds after which nothing more is expected, and after which a session that failed is tried again. */
const patience = { answer: 1_000, retry: 60_000 };

/** Characters that no answer of ours has. */
const babble = 100_000;

/** Characters. A transaction of a few elements has some hundreds; long lines are not what a prompt is made for. */
const longest = 8_000;

/**
 * An interactive nft that stays: a transaction takes a millisecond or two. A process of its own for each takes twenty,
 * most of them at its end, when the kernel waits until nobody uses any more what was deleted, before the socket closes.
 *
 * nft does not say that a transaction succeeded, so the kernel is asked for what only this transaction has put there.
 */
export class NftSession {
  #conversation: Conversation | undefined;
  #heard = "";
  #listen = () => {};
  #retryAt = Number.NEGATIVE_INFINITY;

  constructor(readonly start: Converse = converse) {}

  /**
   * Runs a transaction; true when the kernel was seen to hold it, by the answer to the question. False: nobody knows,
   * because nft refused it, ended, or does not answer.
   */
  async run(transaction: string, question: string, answer: string): Promise<boolean> {
    const line = transaction.trim().replaceAll("\n", "; ");
    if (line.length > longest || performance.now() < this.#retryAt) return false;
    const heard = await this.#ask(`${line}\n${question}\n${marker.question}\n`);
    if (heard === undefined) this.#fail();
    return heard?.includes(answer) ?? false;
  }

  /** Ends nft; the next transaction starts it anew. */
  end(): void {
    this.#conversation?.end();
    this.#conversation = undefined;
  }

  /** All that nft says up to the marker; undefined when it does not come so far. */
  async #ask(lines: string): Promise<string | undefined> {
    this.#heard = "";
    this.#conversation ??= this.#begin();
    const conversation = this.#conversation;
    return await new Promise((resolve) => {
      const timer = setTimeout(() => resolve(undefined), patience.answer);
      this.#listen = () => {
        const ended = this.#conversation !== conversation || this.#heard.length > babble;
        if (!ended && !this.#heard.includes(marker.answer)) return;
        clearTimeout(timer);
        resolve(ended ? undefined : this.#heard);
      };
      conversation.say(lines);
    });
  }

  #begin(): Conversation {
    const heard = (text: string) => {
      this.#heard += text;
      this.#listen();
    };
    const ended = () => {
      if (this.#conversation !== conversation) return;
      this.#conversation = undefined;
      this.#listen();
    };
    const conversation = this.start("nft", ["-i"], heard, ended);
    return conversation;
  }

  #fail(): void {
    this.#retryAt = performance.now() + patience.retry;
    this.end();
  }
}
