/**
 * Lists that may be long: a DNS answer holds up to 4,090 addresses.
 *
 * @module
 */

/** Number of texts up to which a search in the list is quicker than a set. */
const MAX_SEARCHED = 16;

const sets = new WeakMap<readonly string[], ReadonlySet<string>>();

/**
 * Returns whether a list holds a text, at the same cost however long the list is.
 *
 * @param list The list, which never changes.
 * @param text The text.
 */
export function isListed(list: readonly string[], text: string): boolean {
  if (list.length <= MAX_SEARCHED) return list.includes(text);
  let set = sets.get(list);
  if (!set) sets.set(list, set = new Set(list));
  return set.has(text);
}

/**
 * Joins texts for a message of a limited length: the first ones, and the number of the others.
 *
 * @param texts The texts.
 * @param maxLength Maximum number of characters, about.
 */
export function listForMessage(texts: readonly string[], maxLength: number): string {
  let length = 0;
  let count = 0;
  while (count < texts.length && (length += texts[count]!.length + 2) <= maxLength) count++;
  if (count === texts.length) return texts.join("; ");
  const shown = count > 0 ? texts.slice(0, count) : [`${texts[0]!.slice(0, maxLength)}…`];
  const left = texts.length - shown.length;
  return left > 0 ? `${shown.join("; ")}; and ${left} more` : shown.join("; ");
}
