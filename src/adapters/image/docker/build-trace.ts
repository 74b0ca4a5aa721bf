import { TextDecoder } from 'node:util';
import protobuf from 'protobufjs';
import { z } from 'zod';

/**
 * The part of BuildKit's StatusResponse that a log shows. dockerode's own `followProgress` (5.0.1) prints the output of the steps as base64, so it is decoded here;
 * the numbers of the fields are BuildKit's wire format.
 */
const statusType = protobuf.Root.fromJSON({
  nested: {
    Status: {
      fields: {
        vertexes: { rule: 'repeated', type: 'Vertex', id: 1 },
        logs: { rule: 'repeated', type: 'Log', id: 3 },
      },
    },
    Vertex: {
      fields: {
        digest: { type: 'string', id: 1 },
        name: { type: 'string', id: 3 },
        cached: { type: 'bool', id: 4 },
        started: { type: 'Time', id: 5 },
        completed: { type: 'Time', id: 6 },
        error: { type: 'string', id: 7 },
      },
    },
    Log: { fields: { vertex: { type: 'string', id: 1 }, msg: { type: 'bytes', id: 4 } } },
    Time: { fields: { seconds: { type: 'int64', id: 1 } } },
  },
}).lookupType('Status');

const Status = z.object({
  vertexes: z
    .array(
      z.object({
        digest: z.string(),
        name: z.string().default(''),
        cached: z.boolean().default(false),
        started: z.unknown().optional(),
        completed: z.unknown().optional(),
        error: z.string().default(''),
      }),
    )
    .default([]),
  logs: z.array(z.object({ vertex: z.string(), msg: z.instanceof(Uint8Array) })).default([]),
});

interface Step {
  readonly number: number;
  isNamed: boolean;
  isOver: boolean;
  /** Output of the step after its last line end. */
  rest: string;
  readonly decoder: TextDecoder;
}

/** A line that never ends is cut here (I10). */
const maxLineCharacters = 16_384;

/** Turns what the engine says about a build into lines, each behind the number of its step: steps run side by side. */
export class BuildTrace {
  readonly #steps = new Map<string, Step>();

  /** `aux` of an event `moby.buildkit.trace`. */
  lines(aux: string): readonly string[] {
    const { vertexes, logs } = Status.parse(
      statusType.toObject(statusType.decode(Buffer.from(aux, 'base64')), { defaults: false }),
    );
    return [
      ...vertexes.flatMap((vertex) => (vertex.started === undefined ? [] : this.#name(vertex.digest, vertex.name))),
      ...logs.flatMap(({ vertex, msg }) => this.#output(this.#step(vertex), msg)),
      ...vertexes.flatMap((vertex) => this.#end(vertex)),
    ];
  }

  /** What steps had written when the build was cut off. */
  flush(): readonly string[] {
    return [...this.#steps.values()].flatMap((step) => this.#flush(step));
  }

  #step(digest: string): Step {
    const known = this.#steps.get(digest);
    if (known !== undefined) return known;
    const step: Step = {
      number: this.#steps.size + 1,
      isNamed: false,
      isOver: false,
      rest: '',
      decoder: new TextDecoder(),
    };
    this.#steps.set(digest, step);
    return step;
  }

  #name(digest: string, name: string): readonly string[] {
    const step = this.#step(digest);
    if (step.isNamed) return [];
    step.isNamed = true;
    return [`#${step.number} ${name}`];
  }

  #output(step: Step, bytes: Uint8Array): readonly string[] {
    const whole = (step.rest + step.decoder.decode(bytes, { stream: true })).split('\n');
    step.rest = whole.pop() ?? '';
    if (step.rest.length > maxLineCharacters) whole.push(...this.#take(step));
    return whole.map((line) => `#${step.number} ${line.replace(/\r$/, '').slice(0, maxLineCharacters)}`);
  }

  #end({ digest, completed, cached, error }: z.infer<typeof Status>['vertexes'][number]): readonly string[] {
    const step = this.#step(digest);
    if (completed === undefined || step.isOver || !step.isNamed) return [];
    step.isOver = true;
    const end = error !== '' ? `ERROR: ${error}` : cached ? 'CACHED' : 'DONE';
    return [...this.#flush(step), `#${step.number} ${end}`];
  }

  #flush(step: Step): readonly string[] {
    return this.#take(step).map((line) => `#${step.number} ${line}`);
  }

  #take(step: Step): readonly string[] {
    const { rest } = step;
    step.rest = '';
    return rest === '' ? [] : [rest];
  }
}
