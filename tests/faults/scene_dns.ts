/**
 * The name servers of a scene: in this process, or in a thread of their own, where a blocked event loop does not block
 * them.
 *
 * @module
 */

import { type DnsFaultCase, NameServers, type Targets } from "./dns_faults.ts";
import type { Answer, Request } from "./name_server_thread.ts";

/** The name servers of one scene. */
export interface SceneDns {
  /** As `dnsNameservers` takes them. */
  readonly addresses: readonly string[];
  begin(fault: DnsFaultCase): Promise<void>;
  end(fault: DnsFaultCase): Promise<void>;
  move(): Promise<void>;
  flap(every: number): Promise<void>;
  stop(): Promise<void>;
}

/** Starts the name servers of a scene. */
export type StartDns = (targets: Targets) => Promise<SceneDns>;

/** Starts name servers in this process. */
export const startHere: StartDns = async (targets) => {
  const dns = await NameServers.start(targets);
  return {
    addresses: dns.addresses,
    begin: async (fault) => await fault.begin(dns),
    end: async (fault) => await fault.end(dns),
    move: () => Promise.resolve(dns.move()),
    flap: (every) => Promise.resolve(dns.flap(every)),
    stop: () => dns.stop(),
  };
};

/** A thread with name servers. */
export class NameServerThread implements Disposable {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #count = 0;

  constructor() {
    const url = new URL("./name_server_thread.ts", import.meta.url);
    this.#worker = new Worker(url, { type: "module" });
    this.#worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      this.#waiting.get(data.id)?.(data);
      this.#waiting.delete(data.id);
    };
  }

  /** Starts name servers in the thread. */
  readonly start: StartDns = async (targets) => {
    const { scene, addresses = [] } = await this.#ask({ targets });
    return {
      addresses,
      begin: async ({ name }) => void await this.#ask({ scene, begin: name }),
      end: async ({ name }) => void await this.#ask({ scene, end: name }),
      move: async () => void await this.#ask({ scene, move: true }),
      flap: async (every) => void await this.#ask({ scene, flap: every }),
      stop: async () => void await this.#ask({ scene, stop: true }),
    };
  };

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }

  async #ask(request: Omit<Request, "id">): Promise<Answer> {
    const id = ++this.#count;
    const answer = await new Promise<Answer>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#worker.postMessage({ ...request, id });
    });
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer;
  }
}
