// I10: a hostile plan costs little and always ends as problems with a place, never as an exception.
import { CORE_SCHEMA, constructFromEvents, parseEvents, YAMLException } from 'js-yaml';
import type { Event } from 'js-yaml';
import { problem } from './problem-kinds.ts';
import type { PlanProblem } from './problem-kinds.ts';
import { sieve } from './sieve.ts';
import type { Node, PlacedProblem } from './sieve.ts';

export const maxPlanBytes = 512 * 1024;
/** The parser's own limit lies above that of the sieve, which reports the place and goes on. */
const parserDepth = 200;
/** A plan of 500 tasks has about 10,000. */
const maxEvents = 100_000;

export interface YamlDocument {
  /** Undefined when the text is empty or no YAML at all. */
  readonly value: unknown;
  /** Every node by its JSON pointer. */
  readonly nodes: ReadonlyMap<string, Node>;
  readonly problems: readonly PlacedProblem[];
}

function failure(found: PlanProblem, offset = 0): YamlDocument {
  return { value: undefined, nodes: new Map(), problems: [{ problem: found, offset }] };
}

/** Anything but its own exception is a bug of the parser; the text is refused all the same. */
export function refuseSyntax(error: unknown): YamlDocument {
  const { reason, mark } = error instanceof YAMLException ? error : { reason: 'it cannot be read', mark: undefined };
  return failure(
    problem(
      'yaml-syntax',
      '',
      `This is not YAML: ${reason}`,
      'Check quotes, colons and indentation (spaces, no tabs) here and one line above.',
    ),
    mark?.position ?? 0,
  );
}

/** Size in UTF-8, without a copy of the text. */
export function utf8Bytes(text: string): number {
  let bytes = 0;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) bytes += 1;
    else if (unit < 0x800) bytes += 2;
    else bytes += unit >= 0xd800 && unit <= 0xdfff ? 2 : 3; // two surrogates make four bytes
  }
  return bytes;
}

/** Reads one YAML document with the place of every node. Aliases, tags, duplicate and dangerous keys are taken out, each reported, so that the rest can be checked too. */
export function readYaml(text: string): YamlDocument {
  if (text.length > maxPlanBytes || utf8Bytes(text) > maxPlanBytes) {
    return failure(
      problem(
        'plan-too-large',
        '',
        'The plan is larger than 512 kB',
        'Move scripts out of the plan into files of the repository.',
      ),
    );
  }
  let events: Event[];
  try {
    events = parseEvents(text, { maxDepth: parserDepth });
  } catch (error) {
    return refuseSyntax(error);
  }
  if (events.length > maxEvents) {
    return failure(
      problem('plan-too-large', '', 'The plan has too many values', 'Split what it does over several applications.'),
    );
  }
  const { events: kept, nodes, problems } = sieve(text, events);
  try {
    const [value] = constructFromEvents(kept, { source: text, schema: CORE_SCHEMA, maxAliases: 0 });
    return { value, nodes, problems };
  } catch (error) {
    return refuseSyntax(error);
  }
}
