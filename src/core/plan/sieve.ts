import { EVENT_ID, getScalarValue, SCALAR_STYLE } from 'js-yaml';
import type { AliasEvent, Event, MappingEvent, ScalarEvent, SequenceEvent } from 'js-yaml';
import { quote } from '../graph/nearest-name.ts';
import { jsonPointer } from '../graph/json-pointer.ts';
import { problem } from './problem-kinds.ts';
import type { PlanProblem, ProblemCode } from './problem-kinds.ts';

export const maxDepth = 50;
const maxKeyLength = 100;
/** Plans have five levels; what lies deeper is refused by the schema and needs no place of its own. */
const placedDepth = 8;

/** A node of the text, found by its JSON pointer. */
export interface Node {
  /** Where the value begins; where its key begins when the value is empty or a block of lines. */
  readonly offset: number;
  readonly keyOffset: number | undefined;
  /** A scalar as it is written, after escapes and folding: `3.10` stays `3.10`. */
  readonly text: string | undefined;
}

/** A problem whose place is known before there are pointers. */
export interface PlacedProblem {
  readonly problem: PlanProblem;
  readonly offset: number;
}

type Kind = 'document' | 'sequence' | 'mapping';

/** An open collection of the text. The root is its own parent. */
class Frame {
  readonly kind: Kind;
  readonly pointer: string;
  readonly parent: Frame;
  readonly depth: number;
  readonly keys = new Set<string>();
  index = 0;
  key: string | undefined;
  keyOffset = 0;
  /** The key was refused, so its value is left out. */
  isDropping = false;

  constructor(kind: Kind, pointer: string, parent?: Frame) {
    this.kind = kind;
    this.pointer = pointer;
    this.parent = parent ?? this;
    this.depth = parent === undefined ? 0 : parent.depth + 1;
  }
}

interface Sieve {
  readonly source: string;
  readonly events: Event[];
  readonly nodes: Map<string, Node>;
  readonly problems: PlacedProblem[];
  frame: Frame;
  /** Open collections inside a part that is left out. */
  skipped: number;
  lastOffset: number;
}

type NodeEvent = ScalarEvent | AliasEvent | SequenceEvent | MappingEvent;

function isCollection(event: NodeEvent): event is SequenceEvent | MappingEvent {
  return event.type === EVENT_ID.SEQUENCE || event.type === EVENT_ID.MAPPING;
}

/** -1 when there is nothing to point at: an empty value, or a block whose text begins on a later line. */
function offsetOf(event: NodeEvent): number {
  if (event.type === EVENT_ID.ALIAS) return event.anchorStart - 1;
  if (event.type !== EVENT_ID.SCALAR) return event.start;
  if (event.style === SCALAR_STYLE.PLAIN) return event.valueStart;
  return event.style >= SCALAR_STYLE.LITERAL_BLOCK ? -1 : event.valueStart - 1;
}

function report(
  state: Sieve,
  code: ProblemCode,
  pointer: string,
  offset: number,
  message: string,
  remedy: string,
): void {
  state.problems.push({ problem: problem(code, pointer, message, remedy), offset });
}

/** Leaves a node out, with all that is inside it. */
function skip(state: Sieve, event: NodeEvent): void {
  if (isCollection(event)) state.skipped = 1;
}

const quoteIt = 'Write a plain value, in quotes if it must stay a text.';

function checkScalarText(state: Sieve, pointer: string, text: string, offset: number): void {
  if (!text.includes('\0') && text.isWellFormed()) return;
  report(
    state,
    'text-invalid',
    pointer,
    offset,
    'The text holds a NUL or half a character',
    'Remove the escape that makes it.',
  );
}

function checkTag(state: Sieve, event: ScalarEvent | SequenceEvent | MappingEvent, pointer: string): void {
  if (event.tagStart < 0) return;
  const tag = state.source.slice(event.tagStart, event.tagEnd);
  report(state, 'yaml-tag', pointer, event.tagStart, `The tag ${quote(tag)} is not allowed`, quoteIt);
}

function withoutTag<E extends ScalarEvent | SequenceEvent | MappingEvent>(event: E): E {
  return event.tagStart < 0 ? event : { ...event, tagStart: -1, tagEnd: -1 };
}

/** An alias is replaced by nothing: expanded, a few lines of them fill the memory. */
function emptyScalar(): ScalarEvent {
  const at = { valueStart: -1, valueEnd: -1, anchorStart: -1, anchorEnd: -1, tagStart: -1, tagEnd: -1 };
  return { type: EVENT_ID.SCALAR, ...at, style: SCALAR_STYLE.PLAIN, chomping: 1, indent: -1, fast: false };
}

type Refusal = readonly [code: ProblemCode, message: string, remedy: string];

function refuseKey(frame: Frame, text: string): Refusal | undefined {
  if (text.length > maxKeyLength) {
    return ['name-invalid', `A key is longer than ${maxKeyLength} characters`, 'Use a shorter name.'];
  }
  if (text === '__proto__') return ['key-reserved', 'The key "__proto__" is refused', 'Use another name.'];
  if (text === '<<') {
    const remedy = 'Write the keys out; environments inherit from `default`, tasks from `defaults`.';
    return ['key-reserved', 'Merge keys (<<) are refused', remedy];
  }
  if (!frame.keys.has(text)) return undefined;
  return [
    'yaml-duplicate-key',
    `The key ${quote(text)} is there twice`,
    'Remove one of them, or give it another name.',
  ];
}

function acceptKey(state: Sieve, frame: Frame, event: NodeEvent): void {
  const own = offsetOf(event);
  const offset = own < 0 ? state.lastOffset : own; // an empty key (`? `): the last that had a place
  frame.keyOffset = offset;
  if (event.type !== EVENT_ID.SCALAR) {
    frame.key = '?';
    frame.isDropping = true;
    skip(state, event);
    report(state, 'yaml-key', frame.pointer, offset, 'A key must be a plain text', 'Write a name followed by a colon.');
    return;
  }
  const text = getScalarValue(state.source, event);
  const pointer = `${frame.pointer}${jsonPointer([text])}`;
  frame.key = text;
  const refusal = refuseKey(frame, text);
  frame.isDropping = refusal !== undefined;
  if (refusal !== undefined) {
    report(state, refusal[0], pointer, offset, refusal[1], refusal[2]);
    return;
  }
  frame.keys.add(text);
  checkTag(state, event, pointer);
  checkScalarText(state, pointer, text, offset);
  state.events.push(withoutTag(event));
}

/** The pointer of a value, and what its parent knows about it; undefined when the value is left out. */
function takeSlot(frame: Frame): { readonly pointer: string; readonly keyOffset: number | undefined } | undefined {
  if (frame.kind === 'document') return { pointer: '', keyOffset: undefined };
  if (frame.kind === 'sequence') return { pointer: `${frame.pointer}/${String(frame.index++)}`, keyOffset: undefined };
  const pointer = `${frame.pointer}${jsonPointer([String(frame.key)])}`;
  const { isDropping, keyOffset } = frame;
  frame.key = undefined;
  frame.isDropping = false;
  return isDropping ? undefined : { pointer, keyOffset };
}

function place(state: Sieve, frame: Frame, pointer: string, node: Node): void {
  if (frame.depth <= placedDepth) state.nodes.set(pointer, node);
}

function acceptValue(state: Sieve, frame: Frame, event: NodeEvent): void {
  const slot = takeSlot(frame);
  if (slot === undefined) {
    skip(state, event);
    return;
  }
  const { pointer, keyOffset } = slot;
  const own = offsetOf(event);
  const offset = own < 0 ? (keyOffset ?? 0) : own;
  if (event.type === EVENT_ID.ALIAS) {
    report(state, 'yaml-alias', pointer, offset, 'Aliases (*name) are not allowed', 'Write the value out.');
    place(state, frame, pointer, { offset, keyOffset, text: undefined });
    state.events.push(emptyScalar());
    return;
  }
  checkTag(state, event, pointer);
  if (event.type === EVENT_ID.SCALAR) {
    const text = getScalarValue(state.source, event);
    checkScalarText(state, pointer, text, offset);
    place(state, frame, pointer, { offset, keyOffset, text });
    state.events.push(withoutTag(event));
    return;
  }
  place(state, frame, pointer, { offset, keyOffset, text: undefined });
  if (frame.depth >= maxDepth) {
    report(
      state,
      'yaml-depth',
      pointer,
      offset,
      `The plan is nested over ${maxDepth} levels`,
      'Plans need no more than 5 levels.',
    );
    state.events.push(emptyScalar());
    skip(state, event);
    return;
  }
  state.frame = new Frame(event.type === EVENT_ID.MAPPING ? 'mapping' : 'sequence', pointer, frame);
  state.events.push(withoutTag(event));
}

function acceptNode(state: Sieve, event: NodeEvent): void {
  const { frame } = state;
  state.lastOffset = Math.max(state.lastOffset, offsetOf(event));
  if (frame.kind === 'mapping' && frame.key === undefined) acceptKey(state, frame, event);
  else acceptValue(state, frame, event);
}

/** While a part is left out, only its depth is counted. */
function passSkipped(state: Sieve, event: Event): boolean {
  if (state.skipped === 0) return false;
  if (event.type === EVENT_ID.POP) state.skipped--;
  else if (event.type === EVENT_ID.SEQUENCE || event.type === EVENT_ID.MAPPING) state.skipped++;
  return true;
}

function reportSecondDocument(state: Sieve): void {
  const offset = Math.max(state.source.indexOf('---', state.lastOffset), state.lastOffset);
  const remedy = 'Keep one document: remove the line with three dashes.';
  report(state, 'yaml-documents', '', offset, 'The file holds more than one document', remedy);
}

function accept(state: Sieve, event: Event): void {
  if (event.type === EVENT_ID.DOCUMENT) {
    state.events.push(event);
  } else if (event.type === EVENT_ID.POP) {
    state.frame = state.frame.parent;
    state.events.push(event);
  } else {
    acceptNode(state, event);
  }
}

/** Takes out of a parsed text what a plan may not hold, and notes where every node is. Only the first document is kept. */
export function sieve(source: string, events: readonly Event[]): Pick<Sieve, 'events' | 'nodes' | 'problems'> {
  const state: Sieve = {
    source,
    events: [],
    nodes: new Map(),
    problems: [],
    frame: new Frame('document', ''),
    skipped: 0,
    lastOffset: 0,
  };
  let documents = 0;
  for (const event of events) {
    if (event.type === EVENT_ID.DOCUMENT) documents++;
    if (documents > 1) {
      reportSecondDocument(state);
      break;
    }
    if (!passSkipped(state, event)) accept(state, event);
  }
  return state;
}
