import { createHash } from 'node:crypto';
import { parseDigest } from '../../src/core/model/ids.ts';
import type { ImageBuilder, ImageEnd, ImageSpec } from '../../src/ports/image-builder.ts';

/** Builds nothing: the digest is that of what was asked for. */
export class FakeImageBuilder implements ImageBuilder {
  readonly specs: ImageSpec[] = [];

  async build(spec: ImageSpec, { signal, onOutput }: Parameters<ImageBuilder['build']>[1]): Promise<ImageEnd> {
    signal.throwIfAborted();
    this.specs.push(spec);
    await onOutput(new TextEncoder().encode('#1 built\n'));
    const { application, source, args, target } = spec;
    const hex = createHash('sha256')
      .update(JSON.stringify([application, source, args, target]))
      .digest('hex');
    return { type: 'built', digest: parseDigest(`sha256:${hex}`), reference: undefined };
  }
}
