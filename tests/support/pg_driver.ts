/**
 * The driver alone, to be bundled for programs that import it as an installed package.
 *
 * @module
 */

// @ts-types="npm:@types/pg@^8"
export { default } from "npm:pg@^8.23";
