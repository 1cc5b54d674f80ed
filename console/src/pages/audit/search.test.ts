import { describe, expect, it } from 'vitest'
import { asLocal, bounds, fromQuery, instant, ofLocal, toParams, toQuery, wall } from './search'

const NOON = Date.UTC(2026, 10, 22, 4, 30) / 1000 // 12:30 in Shanghai
const at = (...parts: [number, number, number, number, number]) => Date.UTC(parts[0], parts[1] - 1, ...(parts.slice(2) as [number, number, number])) / 1000

describe('the address', () => {
  it('keeps a search', () => {
    for (const query of [
      {},
      { range: 'today', outcome: 'failed', department: '放射科' },
      { since: '1700000000', until: '1700000600.5', tier: 'degraded' },
      { id: 'req_1' },
      { id: 'req_1', range: '7d' },
    ])
      expect(toQuery(fromQuery(query))).toEqual(query)
  })
  it('is not believed where it is wrong', () => {
    expect(fromQuery({ range: 'ever', outcome: 'fine', colour: 'red', since: 'noon' })).toEqual({ range: '7d', wanted: {} })
    expect(fromQuery({ model: ['a', 'b'] }).wanted).toEqual({ model: 'a' })
  })
})

describe('ranges', () => {
  it('begin by the clock of the person', () => {
    const from = (range: 'today' | 'month' | '24h', zone: string) => bounds({ range, wanted: {} }, NOON, zone).since
    expect(from('today', 'Asia/Shanghai')).toBe(at(2026, 11, 21, 16, 0))
    expect(from('today', 'America/New_York')).toBe(at(2026, 11, 21, 5, 0))
    expect(from('month', 'America/New_York')).toBe(at(2026, 11, 1, 4, 0)) // summer time ended that night, later
    expect(from('24h', 'UTC')).toBe(NOON - 86_400)
    expect(bounds({ range: 'all', wanted: {} }, NOON, 'UTC')).toEqual({})
    expect(bounds({ range: 'own', until: 5, wanted: {} }, NOON, 'UTC')).toEqual({ until: 5 })
  })
  it('are asked for beside the filters', () => {
    const asked = toParams({ range: 'own', since: 7, wanted: { user: '王 & li' } }, NOON, 'UTC')
    expect(asked.toString()).toBe('user=%E7%8E%8B+%26+li&since=7')
  })
})

describe('wall clocks', () => {
  it('go there and back in zones with odd offsets and changes', () => {
    for (const zone of ['Asia/Shanghai', 'Asia/Kathmandu', 'America/New_York', 'Europe/Berlin', 'UTC'])
      for (const moment of [NOON, at(2026, 7, 1, 23, 59), at(2026, 3, 29, 1, 30), at(2026, 12, 31, 18, 15)]) {
        expect(instant(wall(moment, zone), zone)).toBe(moment)
        expect(ofLocal(asLocal(moment, zone), zone)).toBe(moment)
      }
    expect(ofLocal('yesterday', 'UTC')).toBeUndefined()
  })
})
