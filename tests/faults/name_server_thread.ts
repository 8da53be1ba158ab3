/**
 * The thread of `NameServerThread` in scene_dns.ts.
 *
 * @module
 */

import { DNS_FAULTS, NameServers, type Targets } from "./dns_faults.ts";

/** What the thread is asked to do. */
export interface Request {
  readonly id: number;
  /** Starts the name servers of a scene. */
  readonly targets?: Targets;
  /** The scene whose name servers the rest is for. */
  readonly scene?: number | undefined;
  /** The name of a fault. */
  readonly begin?: string;
  readonly end?: string;
  readonly move?: boolean;
  readonly flap?: number;
  readonly stop?: boolean;
}

/** The answer to a request. */
export interface Answer {
  readonly id: number;
  readonly scene?: number;
  readonly addresses?: readonly string[];
  readonly error?: string;
}

const scenes: NameServers[] = [];

async function serve(request: Request): Promise<Omit<Answer, "id">> {
  if (request.targets) {
    const dns = await NameServers.start(request.targets);
    return { scene: scenes.push(dns) - 1, addresses: dns.addresses };
  }
  const dns = scenes[request.scene!]!;
  const faultOf = (wanted: string) => DNS_FAULTS.find(({ name }) => name === wanted)!;
  if (request.begin) await faultOf(request.begin).begin(dns);
  if (request.end) await faultOf(request.end).end(dns);
  if (request.move) dns.move();
  if (request.flap) dns.flap(request.flap);
  if (request.stop) await dns.stop();
  return {};
}

/** The thread's side of the connection; the checked types are those of a window. */
const thread = self as unknown as {
  onmessage: (event: MessageEvent<Request>) => void;
  postMessage(answer: Answer): void;
};

thread.onmessage = async ({ data }) => {
  const answer = await serve(data).catch((error) => ({ error: String(error?.stack ?? error) }));
  thread.postMessage({ ...answer, id: data.id });
};
