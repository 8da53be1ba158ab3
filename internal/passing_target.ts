/**
 * A base class for objects that pass the methods of `EventTarget` on to another event target.
 *
 * @module
 */

/** The constructor: it does nothing. What that of `EventTarget` makes would not be used, and is large on Node. */
function makeNothing(): void {}
makeNothing.prototype = EventTarget.prototype;
Object.setPrototypeOf(makeNothing, EventTarget);

/** `EventTarget`, whose three methods the subclass must override. */
export const PassingTarget = makeNothing as unknown as typeof EventTarget;
