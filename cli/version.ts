/**
 * The version of the package.
 *
 * @module
 */

/** As in deno.json, which a test compares: a package for npm cannot read that file. */
export const VERSION = "0.1.0";
