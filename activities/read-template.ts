import type { Digest } from '../src/core/model/ids.ts';
import { parseTemplate } from '../src/core/plan/parse-template.ts';
import type { Template } from '../src/core/template/template.ts';
import type { Room } from './dependencies.ts';

/** The template behind a digest. A plan may name any digest: what is no template of ours is `template-invalid`. */
export async function readTemplate(room: Room, digest: Digest): Promise<Template> {
  const bytes = await room.blobs.read(digest);
  return parseTemplate(new TextDecoder().decode(bytes));
}
