/**
 * What the connections of one dialer are opened to: the endpoint of each address, and the login for it.
 *
 * @module
 */

import { deadline } from "../../internal/async.ts";
import { awakeTimer } from "../../internal/clock.ts";
import { type Endpoint, endpointName, endpointOf } from "../../internal/endpoint.ts";
import { isTimeout } from "../../internal/thrown.ts";
import type { Adapter, Target } from "../../adapters/adapter.ts";
import { gaveNothing, type Login, type LoginSource } from "./credentials.ts";

/** Begins the message for a connect whose time was over while it waited for user and password. */
export const GAVE_NOTHING = 'the function "credentials" gave nothing';

/** What to connect to, without the address. */
export interface DialTarget extends Omit<Target, "again" | "passing" | "signal"> {
  /**
   * Whether the addresses are names of endpoints, which have hosts and ports of their own; `host` is then for messages
   * alone. Default: no.
   */
  readonly namesEndpoints?: boolean;
  /** The name for TLS, if it is not that of the endpoint's host. */
  readonly tlsHost?: string;
}

/** The destination of a dialer. */
export class Destination {
  readonly #adapter: Pick<Adapter<never>, "refusesLogin">;
  readonly #target: DialTarget;
  /** The one that was described last: the connections to one address share it. */
  #endpoint: Endpoint | undefined;
  /** Gives user and password; `undefined`: the target has them. */
  readonly #logins: LoginSource | undefined;
  readonly #connectTimeoutMs: number;

  /**
   * @param adapter Knows whether a server refused a login.
   * @param target What to connect to, without the address.
   * @param options `logins` gives user and password; `undefined`: the target has them. `connectTimeoutMs` limits the wait
   *   for a login.
   */
  constructor(
    adapter: Pick<Adapter<never>, "refusesLogin">,
    target: DialTarget,
    { logins, connectTimeoutMs }: {
      readonly logins: LoginSource | undefined;
      readonly connectTimeoutMs: number;
    },
  ) {
    this.#adapter = adapter;
    this.#target = target;
    this.#logins = logins;
    this.#connectTimeoutMs = connectTimeoutMs;
  }

  /** Whether the addresses are names of endpoints. */
  get namesEndpoints(): boolean {
    return this.#target.namesEndpoints === true;
  }

  /** Whether a function gives user and password, which may take time. */
  get asksForLogin(): boolean {
    return this.#logins !== undefined;
  }

  /** Returns the endpoint at an address. */
  endpointOf(address: string): Endpoint {
    if (this.#target.namesEndpoints) return endpointOf(address);
    if (this.#endpoint?.address === address) return this.#endpoint;
    const { host, port } = this.#target;
    return this.#endpoint = { address, port, host };
  }

  /** Returns the name of an endpoint in the answer, and the name that its certificate is checked for. */
  describe(endpoint: Endpoint): { readonly name: string; readonly tlsHost: string } {
    const { namesEndpoints, tlsHost = endpoint.host } = this.#target;
    return { name: namesEndpoints ? endpointName(endpoint) : endpoint.address, tlsHost };
  }

  /** Returns what the adapter is told about a connection to one address. */
  targetOf(endpoint: Endpoint, signal: AbortSignal): Target {
    const { port, host } = endpoint;
    const again: Target["again"] = (signal, open) => this.openWithLogin(endpoint, { signal, open });
    const target = { ...this.#target, again };
    if (!target.namesEndpoints) return { ...target, signal };
    const addresses = () =>
      target.addresses().map(endpointOf)
        .filter((other) => other.host === host && other.port === port)
        .map(({ address }) => address);
    return { ...target, host: target.tlsHost ?? host, port, addresses, signal };
  }

  /** Opens something with a target whose login is good now. */
  openWithLogin<T>(
    endpoint: Endpoint,
    { signal, open, onAsking }: {
      readonly signal: AbortSignal;
      readonly open: (target: Target) => Promise<T>;
      readonly onAsking?: (asking: boolean) => void;
    },
  ): Promise<T> {
    const target = this.targetOf(endpoint, signal);
    if (this.#logins === undefined) return open(target);
    return this.#logins.open(endpoint, {
      signal,
      onAsking,
      open: (login) => open({ ...target, ...login, passing: true }),
      isRefused: (error) => this.#adapter.refusesLogin?.(error) === true,
    });
  }

  /**
   * Returns the login for a connection that something else opens; `undefined` if the target has it.
   *
   * @param endpoint Where it is opened to.
   * @param signal Ends the wait; `connectTimeout` does so too.
   * @throws {CredentialsError} if there is none.
   */
  async login(endpoint: Endpoint, signal: AbortSignal): Promise<Login | undefined> {
    const logins = this.#logins;
    if (logins === undefined) return undefined;
    const ask = (signal: AbortSignal) => logins.ask(endpoint, { signal });
    try {
      return await deadline(this.#connectTimeoutMs, ask, {
        signal,
        what: GAVE_NOTHING,
        start: awakeTimer,
      });
    } catch (error) {
      signal.throwIfAborted();
      throw isTimeout(error) ? gaveNothing(endpoint.host, error) : error;
    }
  }

  /** Forgets a login that the server refused. */
  forgetLogin(refused: Login): void {
    this.#logins?.forget(refused);
  }

  /** Forgets all logins. */
  forgetLogins(): void {
    this.#logins?.clear();
  }
}
