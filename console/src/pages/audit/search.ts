/** What is looked for in the audit: as the address holds it, as chips show it, and as the gateway is asked. */

/** The filters that the gateway knows, in the order in which they are offered. */
export const FIELDS = [
  'id',
  'department',
  'user',
  'key',
  'model',
  'upstream',
  'outcome',
  'tier',
  'operation',
  'rule',
  'confined',
  'cache',
  'dialect',
  'node',
] as const
export type Field = (typeof FIELDS)[number]

export const RANGES = ['today', '24h', '7d', 'month', 'all', 'own'] as const
export type Range = (typeof RANGES)[number]
export const USUAL: Range = '7d'

/** `since` and `until` are Unix seconds, and count in the range `own` only. */
export interface Search {
  range: Range
  since?: number
  until?: number
  wanted: Partial<Record<Field, string>>
}

/** The values of the filters that have few. */
export const VALUES: Partial<Record<Field, readonly string[]>> = {
  outcome: ['ok', 'failed', 'interrupted', 'rejected', 'refused', 'left'],
  tier: ['cloud', 'local', 'degraded'],
  operation: ['text', 'vision', 'generate', 'edit', 'embed'],
  confined: ['true', 'false'],
  cache: ['hit', 'shared', 'miss'],
  dialect: ['anthropic', 'openai-chat', 'openai-responses', 'openai-images', 'openai-embeddings'],
}

type Query = Record<string, string | null | undefined | (string | null)[]>

function one(query: Query, name: string): string {
  const value = query[name]
  return (Array.isArray(value) ? value[0] : value) ?? ''
}

function seconds(text: string): number | undefined {
  const value = Number(text)
  return text && Number.isFinite(value) ? value : undefined
}

/** What an address says; what it says wrongly counts as not said. */
export function fromQuery(query: Query): Search {
  const wanted: Search['wanted'] = {}
  for (const field of FIELDS) {
    const value = one(query, field)
    if (value && (VALUES[field]?.includes(value) ?? true)) wanted[field] = value
  }
  const since = seconds(one(query, 'since'))
  const until = seconds(one(query, 'until'))
  const said = one(query, 'range')
  const known = RANGES.find((range) => range === said)
  // A request id is found whenever it was; bounds need no word beside them.
  const range = since !== undefined || until !== undefined ? 'own' : (known ?? (wanted.id ? 'all' : USUAL))
  return { range, ...(range === 'own' ? { since, until } : {}), wanted }
}

/** The same for the address; the usual range is left out. */
export function toQuery(search: Search): Record<string, string> {
  const query: Record<string, string> = {}
  const bounded = search.range === 'own' && (search.since !== undefined || search.until !== undefined)
  if (bounded) {
    if (search.since !== undefined) query['since'] = String(search.since)
    if (search.until !== undefined) query['until'] = String(search.until)
  } else if (search.range !== (search.wanted.id ? 'all' : USUAL)) query['range'] = search.range
  return { ...query, ...search.wanted }
}

interface Wall {
  year: number
  month: number
  day: number
  hour: number
  minute: number
}

/** What a wall clock in `zone` shows at a moment. */
export function wall(at: number, zone: string): Wall {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  })
  const found: Record<string, number> = {}
  for (const { type, value } of format.formatToParts(at * 1000)) found[type] = Number(value)
  const part = (name: keyof Wall): number => found[name] ?? 0
  return { year: part('year'), month: part('month'), day: part('day'), hour: part('hour'), minute: part('minute') }
}

const told = ({ year, month, day, hour, minute }: Wall): number => Date.UTC(year, month - 1, day, hour, minute) / 1000

/** The moment at which a wall clock in `zone` shows this; where clocks change, the later offset counts. */
export function instant(shown: Wall, zone: string): number {
  const plain = told(shown)
  const off = (at: number): number => told(wall(at, zone)) - Math.floor(at / 60) * 60
  const first = plain - off(plain)
  return plain - off(first)
}

/** Where a range begins and ends; nothing where it is open. */
export function bounds(search: Search, now: number, zone: string): { since?: number; until?: number } {
  const here = wall(now, zone)
  const midnight = { ...here, hour: 0, minute: 0 }
  switch (search.range) {
    case 'today':
      return { since: instant(midnight, zone) }
    case '24h':
      return { since: Math.floor(now) - 86_400 }
    case '7d':
      return { since: Math.floor(now) - 7 * 86_400 }
    case 'month':
      return { since: instant({ ...midnight, day: 1 }, zone) }
    case 'all':
      return {}
    case 'own':
      return {
        ...(search.since === undefined ? {} : { since: search.since }),
        ...(search.until === undefined ? {} : { until: search.until }),
      }
  }
}

/** What the gateway is asked. */
export function toParams(search: Search, now: number, zone: string): URLSearchParams {
  const params = new URLSearchParams(search.wanted as Record<string, string>)
  for (const [name, value] of Object.entries(bounds(search, now, zone))) params.set(name, String(value))
  return params
}

/** A moment as `<input type="datetime-local">` has it, and back; undefined for what is no time. */
export function asLocal(at: number, zone: string): string {
  const { year, month, day, hour, minute } = wall(at, zone)
  const two = (value: number): string => String(value).padStart(2, '0')
  return `${String(year).padStart(4, '0')}-${two(month)}-${two(day)}T${two(hour)}:${two(minute)}`
}

export function ofLocal(text: string, zone: string): number | undefined {
  const found = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)/.exec(text)
  if (!found) return undefined
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0] = found.slice(1).map(Number)
  return instant({ year, month, day, hour, minute }, zone)
}
