/**
 * The answer for a service that SRV records describe (RFC 2782): the endpoints of its servers, each resolved by itself.
 *
 * @module
 */

import { orderServices, parseService, type ServiceRecord } from "../internal/srv.ts";
import type { AnswerSource, AnswerStatus, Watcher } from "./answer_source.ts";
import { endpointNames, type HostAnswer, SeveralHosts } from "./several_hosts.ts";
import { TargetAnswer } from "./target_answer.ts";

/** Maximum number of servers of a service that are used. */
const MAX_SERVERS = 64;

/** A server of the service. */
interface Server extends Omit<ServiceRecord, "addresses">, HostAnswer {
  readonly answer: TargetAnswer;
}

/** The endpoints of a service, by name. An endpoint is in the list while the service has its server, and that its address. */
export class ServiceHosts implements AnswerSource {
  readonly #services: AnswerSource;
  readonly #answerFor: (target: string) => AnswerSource;
  readonly #endpoints: SeveralHosts = new SeveralHosts([]);
  #servers: readonly Server[] = [];
  /** The records that `#servers` are of. */
  #records: readonly string[] | undefined;

  /**
   * @param services The SRV records, in place of addresses.
   * @param answerFor Returns the answer for a server's name.
   */
  constructor(services: AnswerSource, answerFor: (target: string) => AnswerSource) {
    this.#services = services;
    this.#answerFor = answerFor;
    this.#update();
  }

  get addresses(): readonly string[] {
    return this.#endpoints.addresses;
  }

  /** Returns the endpoints by priority, and among equals at random by weight. */
  inOrder(): readonly string[] {
    const { addresses } = this;
    const names = orderServices(this.#servers).flatMap(endpointNames);
    return [...new Set(names)].filter((name) => addresses.includes(name));
  }

  isFresh(): boolean {
    return this.#services.isFresh() && this.#endpoints.isFresh();
  }

  async waitUntilFresh(signal?: AbortSignal): Promise<void> {
    await this.#services.waitUntilFresh(signal);
    this.#update();
    await this.#endpoints.waitUntilFresh(signal);
  }

  async refresh(): Promise<void> {
    await Promise.all([this.#services.refresh(), this.#endpoints.refresh()]);
  }

  switchFamily(family: 4 | 6, certain: boolean, signal: AbortSignal): Promise<boolean> {
    return this.#endpoints.switchFamily(family, certain, signal);
  }

  keepFresh(): () => void {
    const ends = [this.#services.keepFresh(), this.#endpoints.keepFresh()];
    return () => {
      for (const end of ends) end();
    };
  }

  watch(watcher: Watcher): () => void {
    let isReported = false;
    const ends = [
      this.#endpoints.watch(watcher),
      this.#services.watch({
        onChange: () => this.#update(),
        onAnswer: (askedAtMs) => {
          isReported = false;
          this.#update();
          watcher.onAnswer?.(askedAtMs);
        },
        onError: (error, askedAtMs) => {
          for (const { answer } of this.#servers) answer.leave();
          if (!isReported) watcher.onError?.(error, askedAtMs);
          isReported = true;
        },
      }),
    ];
    return () => {
      for (const end of ends) end();
    };
  }

  status(): AnswerStatus {
    const services = this.#services.status();
    const endpoints = this.#endpoints.status();
    const ages = [services.age, endpoints.age].filter((age) => age !== undefined);
    return {
      ...endpoints,
      age: ages.length > 0 ? Math.max(...ages) : undefined,
      freshFor: Math.min(services.freshFor, endpoints.freshFor),
      inGrace: services.inGrace || endpoints.inGrace,
      failures: Math.max(services.failures, endpoints.failures),
    };
  }

  /** Takes over the newest records. */
  #update(): void {
    const { addresses: records } = this.#services;
    if (records === this.#records) return;
    this.#records = records;
    const services = records.map(parseService).filter((record) => typeof record !== "string");
    const known = new Map(this.#servers.map((server) => [keyOf(server), server]));
    const servers = services.sort((a, b) => a.priority - b.priority).slice(0, MAX_SERVERS)
      .map(({ addresses, ...record }): Server => {
        const { target, port } = record;
        const answer = known.get(keyOf(record))?.answer ??
          new TargetAnswer(this.#answerFor(target));
        answer.update(addresses, this.#services);
        return { ...record, host: target, port, answer };
      });
    this.#servers = servers;
    const distinct = new Map(servers.map((server) => [keyOf(server), server]));
    this.#endpoints.update([...distinct.values()]);
  }
}

function keyOf({ target, port }: ServiceRecord): string {
  return `${target} ${port}`;
}
