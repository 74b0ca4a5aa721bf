// Asks a URL all the while, so that a test knows what its users saw.
import { setTimeout as delay } from 'node:timers/promises';
import { curl } from './runs.ts';

export interface Visitor {
  /** Every answer that differs from the one before, as `<status> <text>`, or the error; in order. */
  answers(): readonly string[];
  /** Resolves when its last request is answered. */
  leave(): Promise<void>;
}

const pauseMs = 10;

/** One request after the other, each on its way before the next. */
export function sendVisitor(url: string): Visitor {
  const answers: string[] = [];
  let isGone = false;
  const visit = async (): Promise<void> => {
    while (!isGone) {
      const answer = await curl(url).then(({ status, text }) => `${String(status)} ${text}`, String);
      if (answer !== answers.at(-1)) answers.push(answer);
      await delay(pauseMs);
    }
  };
  const visiting = visit();
  return {
    answers: () => answers,
    async leave() {
      isGone = true;
      await visiting;
    },
  };
}
