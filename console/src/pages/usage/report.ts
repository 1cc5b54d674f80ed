/** A month's usage as the gateway reports it, and what the page makes of it: sums, shares, days, a table to take along. */

export const BY = ['department', 'user', 'key', 'model', 'upstream'] as const
export type By = (typeof BY)[number]
export const MEASURES = ['cost', 'tokens', 'pictures', 'calls'] as const
export type Measure = (typeof MEASURES)[number]

export interface Line {
  name: string
  label: string
  calls: number
  not_answered: number
  input_tokens: number
  output_tokens: number
  pictures: number
  cost: number
}

export interface Report {
  month: string
  /** Unix seconds: the month begins and ends by the clock of the house. */
  since: number
  until: number
  currency: string
  by: string
  data: Line[]
}

export function amount(line: Line, measure: Measure): number {
  return measure === 'tokens' ? line.input_tokens + line.output_tokens : line[measure]
}

export function total(lines: readonly Line[]): Line {
  const sum: Line = { name: '', label: '', calls: 0, not_answered: 0, input_tokens: 0, output_tokens: 0, pictures: 0, cost: 0 }
  for (const line of lines) {
    sum.calls += line.calls
    sum.not_answered += line.not_answered
    sum.input_tokens += line.input_tokens
    sum.output_tokens += line.output_tokens
    sum.pictures += line.pictures
    sum.cost += line.cost
  }
  return sum
}

/** The most of it first; the gateway's order where they are equal. */
export const sorted = (lines: readonly Line[], measure: Measure): Line[] =>
  [...lines].sort((one, other) => amount(other, measure) - amount(one, measure))

/** What is spoken of first: money where there is any, else tokens, else calls. */
export function weightiest(sum: Line): Measure {
  if (sum.cost) return 'cost'
  return sum.input_tokens + sum.output_tokens ? 'tokens' : 'calls'
}

/** Every day of the month `2026-11` in its order, with the amount of those that have a line. */
export function days(month: string, lines: readonly Line[], measure: Measure): { day: number; name: string; amount: number }[] {
  const [year = 0, number = 0] = month.split('-').map(Number)
  const count = new Date(Date.UTC(year, number, 0)).getUTCDate()
  const known = new Map(lines.map((line) => [line.name, amount(line, measure)]))
  return Array.from({ length: count }, (_, index) => {
    const name = `${month}-${String(index + 1).padStart(2, '0')}`
    return { day: index + 1, name, amount: known.get(name) ?? 0 }
  })
}

/** `2026-01` and -1 → `2025-12`. */
export function moved(month: string, by: number): string {
  const [year = 0, number = 0] = month.split('-').map(Number)
  const at = new Date(Date.UTC(year, number - 1 + by, 1))
  return `${at.getUTCFullYear()}-${String(at.getUTCMonth() + 1).padStart(2, '0')}`
}

function cell(value: string | number): string {
  // What a table program would take for a formula stays text.
  const text = typeof value === 'string' && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** RFC 4180, after the mark without which Excel reads Chinese wrongly. */
export const csv = (rows: readonly (readonly (string | number)[])[]): string =>
  `\ufeff${rows.map((row) => `${row.map(cell).join(',')}\r\n`).join('')}`
