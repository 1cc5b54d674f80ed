import { expect, test } from 'vitest'
import { columns, groups, left, playing, promises, rows, verdicts } from './grid'
import type { Card, Catalogue, Played, Scene } from './wire'

const fault = (name: string, when = 'head') => ({ name, when, zh: name, en: name, faults: [], counts: true, streams_only: false })
const catalogue: Catalogue = {
  faults: [fault('dns', 'connect'), fault('500'), fault('529')],
  moments: [{ name: 'connect', zh: '连接', en: 'connect' }, { name: 'head', zh: '答复', en: 'head' }],
  promises: [{ name: 'well', zh: '', en: '' }, { name: 'record', zh: '', en: '' }],
  operations: ['text'],
}
const scene = (number: number, name: string, stream: boolean, state: Scene['state'] = 'waiting'): Scene => ({
  number, fault: name, route: 'claude-*', operation: 'text', stream, state,
})
const played = (name: string, stream: boolean, told: Record<string, boolean>, more: Partial<Played> = {}) =>
  ({ ...scene(1, name, stream), promises: told, detect_s: null, recovery_s: 3, alone: false, ...more }) as unknown as Played

test('columns and rows come in the order of routes and of the catalogue', () => {
  const all = [scene(1, '500', false), scene(2, '500', true), scene(3, 'dns', false)]
  expect(columns(all).map((each) => each.stream)).toEqual([false, true])
  const found = rows(all, catalogue)
  expect(found.map((each) => each.fault.name)).toEqual(['dns', '500'])
  expect(found[1]?.cells.size).toBe(2)
  expect(found[0]?.cells.get('claude-*\ntext\ntrue')).toBeUndefined()
})

test('promises are counted where they applied', () => {
  const all = [played('500', false, { well: true, record: false }), played('500', true, { record: true })]
  expect(promises(all)).toEqual({ kept: 2, all: 3 })
  expect(promises(all, 'record')).toEqual({ kept: 1, all: 2 })
  const [verdict] = verdicts({ scenes: all } as Card, catalogue)
  expect(verdict).toMatchObject({ kept: 2, all: 3, detect: null, recovery: 3, alone: false })
  expect(verdict?.byPromise.get('well')).toEqual({ kept: 1, all: 1 })
})

test('what is left is guessed once there is something to guess from', () => {
  expect(left({ state: 'running', started: 100, now: 110, done: 10, total: 30 })).toBe(20)
  expect(left({ state: 'running', started: 100, now: 110, done: 0, total: 30 })).toBeNull()
  expect(left({ state: 'running', started: 100, now: 110, done: 30, total: 30 })).toBe(1)
})

test('what is being played, and faults by their moment', () => {
  expect(playing([scene(1, '500', false, 'playing'), scene(2, '500', true)]).length).toBe(1)
  expect(groups(catalogue).map((each) => each.faults.length)).toEqual([1, 2])
})
