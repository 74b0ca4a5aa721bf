/** Number of single edits (insert, delete, replace, swap of neighbours) between two words, or `limit + 1` when it is more. */
function editDistance(one: string, other: string, limit: number): number {
  if (Math.abs(one.length - other.length) > limit) return limit + 1;
  let beforeLast: number[] = [];
  let last = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i++) {
    const row = [i];
    for (let j = 1; j <= other.length; j++) {
      const isSame = one[i - 1] === other[j - 1];
      const isSwap = i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1];
      row.push(
        Math.min(
          Number(last[j]) + 1,
          Number(row[j - 1]) + 1,
          Number(last[j - 1]) + (isSame ? 0 : 1),
          isSwap ? Number(beforeLast[j - 2]) + 1 : Infinity,
        ),
      );
    }
    beforeLast = last;
    last = row;
  }
  return Number(last[other.length]);
}

function normalize(text: string): string {
  return text.toLowerCase().replaceAll('-', '_');
}

/** The candidate that the writer probably meant, for the remedy of an error. Words over 60 characters have none: this must stay cheap on hostile text. */
export function nearestName(word: string, candidates: Iterable<string>): string | undefined {
  if (word.length > 60) return undefined;
  const wanted = normalize(word);
  const limit = wanted.length <= 4 ? 1 : 2;
  let best: string | undefined;
  let bestDistance = limit + 1;
  for (const candidate of candidates) {
    const distance = editDistance(wanted, normalize(candidate), limit);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Foreign text for a message: quoted, without line breaks, of a bearable length. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}...` : text);
}

/** Remedy for a name that does not exist: the near one, else the existing ones. */
export function suggestName(word: string, candidates: Iterable<string>): string {
  const existing = [...candidates];
  const near = nearestName(word, existing);
  if (near !== undefined) return `Did you mean ${quote(near)}?`;
  if (existing.length === 0) return 'There is none in this plan.';
  const shown = existing.slice(0, 12).map(quote).join(', ');
  return `Use one of ${shown}${existing.length > 12 ? ', ...' : ''}.`;
}
