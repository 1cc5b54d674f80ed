/** Where a promotion stands, and what of it is drawn. */
import type { Engine, Fetch, Promotion, Release, Stage, Yard } from './wire'

export const STEPS = ['asked', 'starting', 'probing', 'sharing', 'finished'] as const
export type Step = (typeof STEPS)[number]
export type Mark = 'done' | 'now' | 'later'

export const ENDS: readonly Stage[] = ['finished', 'rolled_back', 'failed']

/** Each step of a promotion that goes on: behind it, at it, or before it. */
export function marks(stage: Stage): Mark[] {
  if (stage === 'finished') return STEPS.map(() => 'done')
  const here = STEPS.indexOf(stage as Step)
  return STEPS.map((_, index) => (index < here ? 'done' : index === here ? 'now' : 'later'))
}

export interface Stair {
  share: number
  mark: Mark
}

/** The stairs that the share climbs: those of the configuration, and all calls at the top. */
export function stairs(shares: readonly number[], work: Promotion): Stair[] {
  const climbed = [...shares, 1]
  const here = work.stage === 'finished' ? climbed.length : work.stage === 'sharing' ? nearest(shares, work.share) : -1
  return climbed.map((share, index) => ({ share, mark: index < here ? 'done' : index === here ? 'now' : 'later' }))
}

function nearest(shares: readonly number[], share: number): number {
  let best = 0
  shares.forEach((each, index) => {
    if (Math.abs(each - share) < Math.abs((shares[best] ?? 0) - share)) best = index
  })
  return best
}

/** A revision as one can read it: of a commit the first twelve signs. */
export function brief(revision: string): string {
  if (revision.startsWith('content-')) return revision.slice(0, 16)
  return /^[0-9a-f]{40,64}$/.test(revision) ? revision.slice(0, 12) : revision
}

/** The releases that an engine can be given: those of its model that are whole, and not the one that runs. */
export function choices(engine: Engine, releases: readonly Release[]): Release[] {
  return releases.filter((each) => each.whole && each.name === engine.model && each.revision !== engine.stable?.release)
}

/** Seconds until a fetch is done, as far as its rate of late tells; null where it tells nothing. */
export function left(fetch: Fetch): number | null {
  return fetch.rate > 0 && fetch.bytes > 0 ? Math.max(1, Math.ceil((fetch.bytes - fetch.bytes_done) / fetch.rate)) : null
}

export function part(done: number, all: number): number {
  return all > 0 ? done / all : -1
}

/** Whether something goes on that one wants to see at once. */
export function busy(yard: Yard): boolean {
  return (
    yard.engines.some((each) => each.work !== null || each.stable?.state !== 'warm') ||
    yard.fetches.some((each) => each.state === 'running') ||
    yard.check.state === 'running'
  )
}

/** `OWNER/NAME`, as hubs call models; the server has the last word. */
export const NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,95}(\/[A-Za-z0-9_][A-Za-z0-9._-]{0,95})?$/

/** Patterns as people write them: with blanks, commas or lines between. */
export function patterns(text: string): string[] {
  return text.split(/[\s,,;;]+/).filter(Boolean)
}
