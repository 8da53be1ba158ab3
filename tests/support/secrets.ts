/**
 * Collects everything that can be read out of a value, to search it for secrets.
 *
 * @module
 */

/** Maximum depth of the search. */
const DEPTH = 8;

/**
 * A value as people and machines may come to see it: as text, inspected, as JSON, and whatever stands in its own
 * properties, the hidden ones too, and down its causes.
 */
export function everythingIn(value: unknown): string {
  const parts: string[] = [];
  collect(value, parts, { seen: new Set(), depth: 0 });
  return parts.join("\n");
}

/** Which of the secrets stand in a text, as they are or as a URL has them. */
export function leaksIn(text: string, secrets: readonly string[]): string[] {
  return secrets.filter((secret) =>
    text.includes(secret) || text.includes(encodeURIComponent(secret))
  );
}

function collect(
  value: unknown,
  parts: string[],
  { seen, depth }: { seen: Set<unknown>; depth: number },
): void {
  if (typeof value !== "object" || value === null) return void parts.push(String(value));
  if (seen.has(value) || depth > DEPTH) return;
  seen.add(value);
  for (const show of [String, JSON.stringify, inspect]) {
    try {
      parts.push(String(show(value)));
    } catch {
      // It cannot be shown in this way.
    }
  }
  for (const key of Reflect.ownKeys(value)) {
    try {
      collect(Reflect.get(value, key), parts, { seen, depth: depth + 1 });
    } catch {
      // A getter that throws shows no secret.
    }
  }
}

function inspect(value: unknown): string {
  return Deno.inspect(value, { depth: DEPTH, showHidden: true, strAbbreviateSize: Infinity });
}
