import { describe, expect, it } from 'vitest'
import { begun, type Board, changed, type Moment, pause } from './board'
import { band, ceiling, lanes, line, share, spells, stack, steps, success, ticks, worst } from './figures'

const COLUMNS = ['calls', 'failed', 'cloud', 'local', 'degraded', 'tokens', 'images', 'cost', 'p50', 'p95']
const row = (calls: number, p95: number | null = null) => [calls, 0, calls, 0, 0, 10 * calls, 0, 0, null, p95]
const moment = (id: number, at: number, more: Partial<Moment> = {}): Moment => ({ id, mark: id, at, last: at, kind: 'fault', word: 'cut', ...more })
const board = {
  curves: {
    columns: COLUMNS,
    fine: { step: 60, first: 0, points: [...Array.from({ length: 60 }, (_, index) => (index % 2 ? row(index) : null)), null] },
    coarse: { step: 600, first: 0, points: [...Array.from({ length: 144 }, () => row(1)), row(5, 80)] },
  },
  now: row(2, 40),
} as unknown as Board

describe('steps', () => {
  it('are those of the window, the last with what is under way', () => {
    const found = steps(board, 900)
    expect(found).toHaveLength(16)
    expect(found.at(-1)).toMatchObject({ at: 3600, calls: 2, tokens: 20, p95: 40 })
    expect(found[0]).toMatchObject({ at: 2700, calls: 45 })
    expect(found[1]).toMatchObject({ calls: 0, p95: null })
  })
  it('join the open ten minutes with the open minute', () => {
    const found = steps(board, 86_400)
    expect(found).toHaveLength(145)
    expect(found.at(-1)).toMatchObject({ calls: 7, p95: 40 })
    expect(steps(board, 21_600)).toHaveLength(37)
  })
})

describe('changes', () => {
  const first = begun({ moments: [moment(1, 5), moment(2, 9)], drill: null } as unknown as Board)
  it('replace sections and leave the others', () => {
    const next = changed(first, { drill: { ended: 1, by: 'ann', kept: 1, total: 1 } })
    expect(next.drill?.kept).toBe(1)
    expect(next.moments).toBe(first.moments)
  })
  it('add moments by their id, the newest first, within bounds', () => {
    const next = changed(first, { moments: [moment(1, 5, { last: 12, count: 3 }), moment(3, 10)] })
    expect(next.moments.map((each) => each.id)).toEqual([1, 3, 2])
    expect(next.moments[0]?.count).toBe(3)
    const many = Array.from({ length: 700 }, (_, index) => moment(index + 10, index))
    expect(changed(first, { moments: many }).moments).toHaveLength(500)
  })
  it('are asked for again after 1, 2, 4 … 30 seconds', () => {
    expect([1, 2, 3, 6, 50].map(pause)).toEqual([1, 2, 4, 30, 30])
  })
})

describe('shares', () => {
  it('never round up to all', () => {
    expect(share(99_999, 100_000)).toBe('99.9%')
    expect(share(1, 1)).toBe('100%')
    expect(share(0, 5)).toBe('0%')
    expect(share(1, 3)).toBe('33%')
    expect(share(1, 0)).toBe('–')
  })
  it('of success leave out what callers did', () => {
    const tally = { outcomes: { ok: 3, failed: 1, refused: 10, left: 2 } } as never
    expect(success(tally)).toBe(0.75)
    expect(success({ outcomes: { refused: 1 } } as never)).toBeNull()
  })
})

describe('drawing', () => {
  it('lifts the pen where there is nothing', () => {
    expect(line([1, null, 2, 4], 10, 4)).toBe('M0.00 7.50h0.01M66.67 5.00L100.00 0.00')
    expect(line([], 10, 4)).toBe('')
  })
  it('stacks bands on each other', () => {
    const [low, high] = stack([[1, 2], [3, 0]])
    expect(low).toEqual([[0, 0], [1, 2]])
    expect(high).toEqual([[1, 2], [4, 2]])
    expect(band([0, 0], [1, 2], 10, 4)).toBe('M0 10.00L0.00 7.50H50.00L50.00 5.00H100.00L100.00 10.00H50.00L50.00 10.00H0.00Z')
  })
  it('ends axes at round figures', () => {
    expect([0, 1, 3, 7, 30, 0.4].map(ceiling)).toEqual([1, 1, 5, 10, 50, 0.5])
    expect(ticks(61, 901, 6)).toEqual([300, 600, 900])
  })
})

describe('breakers', () => {
  const told = [
    moment(4, 30, { kind: 'breaker', upstream: 'b', operation: 'text', word: 'isolated' }),
    moment(3, 20, { kind: 'breaker', upstream: 'a', operation: 'text', word: 'closed' }),
    moment(2, 15, { kind: 'breaker', upstream: 'a', operation: 'text', word: 'half_open' }),
    moment(1, 10, { kind: 'breaker', upstream: 'a', operation: 'text', word: 'open' }),
  ]
  it('have spells that end with the next state', () => {
    expect(spells(told, 99)).toEqual([
      { upstream: 'a', state: 'open', from: 10, to: 15 },
      { upstream: 'a', state: 'half_open', from: 15, to: 20 },
      { upstream: 'b', state: 'isolated', from: 30, to: 99 },
    ])
  })
  it('are as bad as the worst of them', () => {
    expect(worst(['closed', 'half_open', 'open'])).toBe('open')
    expect(worst([])).toBe('closed')
  })
  it('stand in lanes, processes of an engine in one', () => {
    const seen = lanes({ upstreams: { a: {} }, engines: [] } as never, [moment(1, 1, { upstream: 'reader@2' })])
    expect(seen).toEqual(['', 'a', 'reader'])
  })
})
