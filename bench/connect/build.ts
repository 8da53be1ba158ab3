/**
 * What the processes of `bench/connect.ts` use of a build of dnspool.
 *
 * @module
 */

export * from "../../mod.ts";
export { mariadbAdapter } from "../../adapters/mariadb.ts";
export { mysql2Adapter } from "../../adapters/mysql2.ts";
export { pgAdapter } from "../../adapters/pg.ts";
