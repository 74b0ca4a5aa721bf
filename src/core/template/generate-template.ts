import type { Digest } from '../model/ids.ts';
import type { PlanApplication, PlanEnvironment } from '../plan/plan.ts';
import type { Template } from './template.ts';

export interface TemplateInput {
  readonly application: PlanApplication;
  /** Undefined: the template fits every environment. */
  readonly environment: PlanEnvironment | undefined;
  /** Digest of the artifact; undefined when nothing of ours was built. */
  readonly image: Digest | undefined;
}

/** What the task `generate_template` makes. Pure: the same input gives the same template, and so the same digest (I5). */
export function generateTemplate({ application, environment, image }: TemplateInput): Template {
  return {
    version: 1,
    application: application.name,
    environment: environment?.name,
    compute: environment?.compute,
    image,
    start: application.start,
    port: application.port,
    health: application.health,
    config: { ...application.config },
    services: [...application.services],
  };
}
