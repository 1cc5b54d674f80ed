import { describe, expect, it } from 'vitest'
import { dayOf, endOfDay, fits, stateOf, strangeNetworks } from './keys'
import type { Key } from './wire'

const key = (fields: Partial<Key> = {}): Key =>
  ({ id: 'key_1', prefix: 'sk-sampan-abc', name: '护士站', role: 'member', user: '', department: 'icu', state: 'valid', expires: null, ...fields }) as Key
const nobody = { users: new Set<string>(), departments: new Set<string>() }
const NOW = 1_800_000_000

describe('the state of a key', () => {
  it('says whether it lets somebody in', () => {
    expect(stateOf(key(), NOW, nobody)).toBe('active')
    expect(stateOf(key({ expires: NOW + 86_400 }), NOW, nobody)).toBe('soon')
    expect(stateOf(key({ expires: NOW + 40 * 86_400 }), NOW, nobody)).toBe('active')
    expect(stateOf(key({ expires: NOW }), NOW, nobody)).toBe('expired')
    expect(stateOf(key({ state: 'revoked' }), NOW, nobody)).toBe('revoked')
    expect(stateOf(key(), NOW, { ...nobody, departments: new Set(['icu']) })).toBe('stopped')
  })
})

describe('keys that are looked for', () => {
  const all = { text: '', department: '', role: '', state: '' } as const
  const title = (name: string): string => ({ icu: '重症监护室' })[name] ?? name
  it('fit by any of their names, by department, role and state', () => {
    expect(fits(key(), 'active', { ...all, text: '重症' }, title)).toBe(true)
    expect(fits(key(), 'active', { ...all, text: 'ABC' }, title)).toBe(true)
    expect(fits(key(), 'active', { ...all, text: 'zzz' }, title)).toBe(false)
    expect(fits(key(), 'soon', { ...all, state: 'usable' }, title)).toBe(true)
    expect(fits(key(), 'revoked', { ...all, state: 'usable' }, title)).toBe(false)
    expect(fits(key(), 'active', { ...all, department: '-' }, title)).toBe(false)
    expect(fits(key({ department: '' }), 'active', { ...all, department: '-' }, title)).toBe(true)
  })
})

describe('the day on which a key ends', () => {
  it('ends at midnight of the zone', () => {
    expect(endOfDay('2026-12-31', 'Asia/Shanghai')).toBe(Date.UTC(2026, 11, 31, 15, 59, 59) / 1000)
    expect(endOfDay('2026-03-29', 'Europe/Berlin')).toBe(Date.UTC(2026, 2, 29, 21, 59, 59) / 1000)
    expect(endOfDay('', 'UTC')).toBeNaN()
    expect(dayOf(endOfDay('2026-12-31', 'Asia/Shanghai'), 'Asia/Shanghai')).toBe('2026-12-31')
  })
})

it('tells what can be no network', () => {
  expect(strangeNetworks(['10.0.0.0/8', '::1', 'office', '10.0.0.0/8/2'])).toEqual(['office', '10.0.0.0/8/2'])
})
