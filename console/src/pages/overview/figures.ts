/** From the board to what is drawn: points of a window, bands on top of each other, spans of breakers. No DOM here. */
import type { Board, BreakerState, Curve, Moment, Row, Tally } from './board'

export const WINDOWS = [900, 3600, 21_600, 86_400] as const
export type Window = (typeof WINDOWS)[number]

/** One step of a window: `at` in Unix seconds; latencies are null where nothing was answered. */
export interface Step {
  at: number
  calls: number
  failed: number
  cloud: number
  local: number
  degraded: number
  tokens: number
  images: number
  cost: number
  p50: number | null
  p95: number | null
}

const SUMS = ['calls', 'failed', 'cloud', 'local', 'degraded', 'tokens', 'images', 'cost'] as const

function step(at: number, columns: readonly string[], rows: readonly (Row | null)[]): Step {
  const made: Step = { at, calls: 0, failed: 0, cloud: 0, local: 0, degraded: 0, tokens: 0, images: 0, cost: 0, p50: null, p95: null }
  for (const row of rows) {
    if (!row) continue
    for (const name of SUMS) made[name] += row[columns.indexOf(name)] ?? 0
    for (const name of ['p50', 'p95'] as const) {
      const value = row[columns.indexOf(name)] ?? null
      // Two medians cannot be joined: the later one speaks.
      if (value !== null) made[name] = value
    }
  }
  return made
}

/** The steps of a window, the oldest first; the last one is under way. */
export function steps(board: Pick<Board, 'curves' | 'now'>, window: Window): Step[] {
  const { columns, fine, coarse } = board.curves
  const curve: Curve = window <= 3600 ? fine : coarse
  const wanted = window / curve.step + 1
  const from = Math.max(0, curve.points.length - wanted)
  return curve.points.slice(from).map((row, index) => {
    const last = from + index === curve.points.length - 1
    return step(curve.first + (from + index) * curve.step, columns, last ? [row, board.now] : [row])
  })
}

/** Of those that we had to answer: what their callers did wrong, and who left, is not counted. */
export function success(tally: Tally): number | null {
  const ok = tally.outcomes['ok'] ?? 0
  const failed = (tally.outcomes['failed'] ?? 0) + (tally.outcomes['interrupted'] ?? 0)
  return ok + failed ? ok / (ok + failed) : null
}

export function share(part: number, whole: number): string {
  if (!whole) return '–'
  const percent = (part / whole) * 100
  // What is not all must not read as all.
  const shown = percent === 100 || percent === 0 ? percent.toFixed(0) : percent > 99.9 ? '99.9' : percent.toFixed(percent < 10 || percent > 90 ? 1 : 0)
  return `${shown}%`
}

/** A line through the values, in a box of 100 by `height`; gaps where there is none. */
export function line(values: readonly (number | null)[], height: number, top: number): string {
  const x = (index: number) => ((index / Math.max(1, values.length - 1)) * 100).toFixed(2)
  const y = (value: number) => (height - (top ? value / top : 0) * height).toFixed(2)
  let pen = false
  let path = ''
  values.forEach((value, index) => {
    if (value === null) {
      pen = false
      return
    }
    const alone = !pen && (values[index + 1] ?? null) === null
    path += `${pen ? 'L' : 'M'}${x(index)} ${y(value)}`
    if (alone) path += 'h0.01' // a point by itself, which round ends of lines make visible
    pen = true
  })
  return path
}

/** The area between two stepped lines, in a box of 100 by `height`. */
export function band(below: readonly number[], above: readonly number[], height: number, top: number): string {
  const width = 100 / Math.max(1, above.length)
  const y = (value: number) => (height - (top ? value / top : 0) * height).toFixed(2)
  const there = above.map((value, index) => `L${(index * width).toFixed(2)} ${y(value)}H${((index + 1) * width).toFixed(2)}`).join('')
  const back = [...below].map((value, index) => [value, index] as const).reverse()
  const home = back.map(([value, index]) => `L${((index + 1) * width).toFixed(2)} ${y(value)}H${(index * width).toFixed(2)}`).join('')
  return `M0 ${y(below[0] ?? 0)}${there}${home}Z`
}

/** Each series on top of those before it: [below, above]. */
export function stack(series: readonly (readonly number[])[]): [number[], number[]][] {
  let below: number[] = (series[0] ?? []).map(() => 0)
  return series.map((values) => {
    const above = values.map((value, index) => value + (below[index] ?? 0))
    const pair: [number[], number[]] = [below, above]
    below = above
    return pair
  })
}

/** The end of an axis that a largest value fits under: 1, 2 or 5 times a power of ten. */
export function ceiling(largest: number): number {
  if (largest <= 0) return 1
  const power = 10 ** Math.floor(Math.log10(largest))
  const times = [1, 2, 5, 10].find((each) => each * power >= largest - 1e-9) ?? 10
  return times * power
}

/** Moments between two times that an axis is labelled at: whole minutes or hours, of the clock on the wall. */
export function ticks(from: number, to: number, most: number): number[] {
  const every = [60, 300, 600, 900, 1800, 3600, 7200, 10_800, 14_400, 21_600, 43_200].find((each) => (to - from) / each <= most) ?? 86_400
  const found: number[] = []
  for (let at = Math.ceil(from / every) * every; at <= to; at += every) found.push(at)
  return found
}

export interface Spell {
  upstream: string
  state: Exclude<BreakerState, 'closed'>
  from: number
  to: number
}

/** When which upstream was not simply in use. `until` is now. */
export function spells(moments: readonly Moment[], until: number): Spell[] {
  const found: Spell[] = []
  const begun = new Map<string, Spell>()
  for (const moment of [...moments].reverse()) {
    if (moment.kind !== 'breaker') continue
    const key = `${moment.upstream}\n${moment.operation}`
    const before = begun.get(key)
    if (before) before.to = moment.at
    begun.delete(key)
    if (moment.word !== 'closed') {
      const spell = { upstream: moment.upstream ?? '', state: moment.word as Spell['state'], from: moment.at, to: until }
      begun.set(key, spell)
      found.push(spell)
    }
  }
  return found
}

/** The lanes of the strip: who has a moment or a target, in the order of the board, the gateway itself first. */
export function lanes(board: Pick<Board, 'upstreams' | 'engines'>, moments: readonly Moment[]): string[] {
  const named = moments.map((moment) => lane(moment))
  return [...new Set(['', ...Object.keys(board.upstreams), ...named])]
}

/** Processes of one engine (`reader@2`) are one lane. */
export const lane = (moment: Moment): string => (moment.upstream ?? '').split('@')[0] ?? ''

/** The worst state among breakers: what a card shows first. */
export function worst(states: readonly BreakerState[]): BreakerState {
  return (['open', 'half_open', 'isolated', 'closed'] as const).find((each) => states.includes(each)) ?? 'closed'
}
