/**
 * The version of the package.
 *
 * @module
 */

/** The version in deno.json, which the npm package cannot read; a test compares the two. */
export const VERSION = "0.1.0";
