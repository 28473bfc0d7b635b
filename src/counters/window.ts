/** Windows: minutes, hours and days of UTC, aligned to the calendar. A window is named by its number since the epoch. */
import type { Window } from '../decision/obligation.ts';

const LENGTH_MS: Readonly<Record<Window, number>> = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };

/** The last instant a `Date` can name; a clock beyond it is broken. */
export const MAX_TIME_MS = 8.64e15;

export function windowAt(window: Window, timeMs: number): number {
  return Math.floor(timeMs / LENGTH_MS[window]);
}

export function windowStartMs(window: Window, index: number): number {
  return index * LENGTH_MS[window];
}

/** The instant at which the window has turned. */
export function windowEndMs(window: Window, index: number): number {
  return (index + 1) * LENGTH_MS[window];
}

export function isWindow(text: unknown): text is Window {
  return text === 'minute' || text === 'hour' || text === 'day';
}
