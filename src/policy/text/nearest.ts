/** The known word that somebody most likely meant, if one is near. */

const MAX_LENGTH = 64;

export function nearest(word: string, known: Iterable<string>): string | undefined {
  if (word.length > MAX_LENGTH) return undefined;
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  const plain = flatten(word);
  for (const candidate of known) {
    if (candidate.length > MAX_LENGTH || candidate === word) continue;
    const distance = flatten(candidate) === plain ? 0 : editDistance(word, candidate);
    if (distance < bestDistance && distance <= reach(word, candidate)) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Differences of case, dashes, underscores and spaces alone are no distance at all. */
function flatten(word: string): string {
  return word.toLowerCase().replace(/[-_ ]/g, '');
}

function reach(word: string, candidate: string): number {
  return Math.max(1, Math.floor(Math.max(word.length, candidate.length) / 3));
}

/** Insertions, deletions, replacements, and swaps of neighbours. */
function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min((row[j - 1] ?? 0) + 1, (previous[j] ?? 0) + 1, (previous[j - 1] ?? 0) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, (beforePrevious[j - 2] ?? 0) + 1);
      }
      row.push(best);
    }
    beforePrevious = previous;
    previous = row;
  }
  return previous[b.length] ?? 0;
}
