/** What the gateway tells the overview, and how a change is put into what is known. No DOM here. */

export type BreakerState = 'closed' | 'open' | 'half_open' | 'isolated'
export type Kind = 'breaker' | 'fault' | 'handover' | 'probe' | 'engine' | 'promotion' | 'gateway' | 'drill'

export interface TargetTally {
  answers: number
  p50: number | null
  p95: number | null
  faults: Record<string, number>
}

/** Calls of one window; latencies are in milliseconds. */
export interface Tally {
  calls: number
  outcomes: Record<string, number>
  tiers: Record<string, number>
  input_tokens: number
  output_tokens: number
  images: number
  cost: number
  cached: number
  p50: number | null
  p95: number | null
  first_p50: number | null
  first_p95: number | null
  targets: Record<string, TargetTally>
}

/** One step of a curve, by the names in `columns`. */
export type Row = (number | null)[]

export interface Curve {
  step: number
  first: number
  points: (Row | null)[]
}

export interface Upstream {
  location: 'cloud' | 'local'
  engine: boolean
  breakers: Record<string, { state: BreakerState; since?: number }>
  open: number
  limit: number
  waiting: number
  probe: { at: number; fault: string } | null
  last_fault: { at: number; fault: string; operation: string; call: string } | null
}

export interface Route {
  model: string
  operations: string[]
  targets: { upstream: string; model: string | null; tier: string; hedged: boolean }[]
}

export interface Engine {
  name: string
  kind: string
  tier: string
  state: 'stopped' | 'starting' | 'warm' | 'backing_off'
  stage: string
  error: string
  since: number
  restarts: number
  memory: number | null
  device: string
  release: string
  open: number
  limit: number
  waiting: number
  queue: number
  candidate?: { share: number; calls: number; faults: number }
}

export interface Cold {
  what: 'engine' | 'part' | 'cache' | 'model'
  name: string
  detail: string
  size?: number
}

export interface Moment {
  id: number
  mark: number
  at: number
  last: number
  kind: Kind
  word: string
  upstream?: string
  operation?: string
  before?: string
  to?: string
  detail?: string
  by?: string
  call?: string
  count?: number
}

export interface Board {
  at: number
  facts: { began: number; since: number; currency: string }
  windows: Record<string, Tally>
  curves: { columns: string[]; fine: Curve; coarse: Curve }
  now: Row
  routes: Route[]
  upstreams: Record<string, Upstream>
  engines: Engine[]
  house: { memory: number | null; total: number; free: number }
  cold: Cold[]
  drill: { ended: number; by: string; kept: number; total: number } | null
  /** The newest first. */
  moments: Moment[]
}

const KEPT = 500
const newest = (one: Moment, other: Moment): number => other.last - one.last || other.id - one.id

export function begun(snapshot: Board): Board {
  return { ...snapshot, moments: [...snapshot.moments].sort(newest) }
}

/** Sections take the place of those known; moments are added, or changed where their id is known. */
export function changed(board: Board, change: Partial<Board>): Board {
  if (!change.moments) return { ...board, ...change } as Board
  const fresh = new Map(change.moments.map((moment) => [moment.id, moment]))
  const rest = board.moments.filter((moment) => !fresh.has(moment.id))
  return { ...board, ...change, moments: [...fresh.values(), ...rest].sort(newest).slice(0, KEPT) } as Board
}

/** Seconds until the stream is asked for again, after so many failures in a row. */
export const pause = (failures: number): number => Math.min(30, 2 ** Math.min(failures - 1, 8))
