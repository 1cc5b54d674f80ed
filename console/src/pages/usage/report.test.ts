import { expect, it } from 'vitest'
import { amount, csv, days, type Line, moved, sorted, total, weightiest } from './report'

const line = (name: string, more: Partial<Line> = {}): Line => ({
  name, label: name, calls: 1, not_answered: 0, input_tokens: 10, output_tokens: 5, pictures: 0, cost: 0, ...more,
})

it('sums and sorts', () => {
  const lines = [line('a'), line('b', { pictures: 3, cost: 0.5, calls: 4, not_answered: 2 })]
  expect(total(lines)).toMatchObject({ calls: 5, not_answered: 2, input_tokens: 20, pictures: 3, cost: 0.5 })
  expect(sorted(lines, 'pictures').map((each) => each.name)).toEqual(['b', 'a'])
  expect(sorted(lines, 'tokens').map((each) => each.name)).toEqual(['a', 'b'])
  expect(amount(line('a'), 'tokens')).toBe(15)
  expect(weightiest(total(lines))).toBe('cost')
  expect(weightiest(line('a', { input_tokens: 0, output_tokens: 0 }))).toBe('calls')
})

it('knows the days of a month', () => {
  const found = days('2028-02', [line('2028-02-03', { calls: 7 })], 'calls')
  expect(found).toHaveLength(29)
  expect(found[2]).toEqual({ day: 3, name: '2028-02-03', amount: 7 })
  expect(found[28]).toEqual({ day: 29, name: '2028-02-29', amount: 0 })
})

it('goes from month to month', () => {
  expect(moved('2026-01', -1)).toBe('2025-12')
  expect(moved('2026-12', 1)).toBe('2027-01')
})

it('writes what table programs read', () => {
  expect(csv([['部门', '费用'], ['放射科, "二"', 1.5], ['=1+1', -2]])).toBe('\ufeff部门,费用\r\n"放射科, ""二""",1.5\r\n\'=1+1,-2\r\n')
})
