/** Keys: which state one is in, which are looked for, and when one ends. Nothing here asks anybody. */
import type { Key } from './wire'

export const SOON = 14 * 86_400
export const STATES = ['active', 'soon', 'expired', 'revoked', 'stopped'] as const
export type KeyState = (typeof STATES)[number]

/** `stopped` are keys whose user or department is switched off: the key itself is still good. */
export function stateOf(key: Key, now: number, off: { users: ReadonlySet<string>; departments: ReadonlySet<string> }): KeyState {
  if (key.state !== 'valid') return key.state
  if (key.expires !== null && key.expires <= now) return 'expired'
  if (off.users.has(key.user) || off.departments.has(key.department)) return 'stopped'
  return key.expires !== null && key.expires - now < SOON ? 'soon' : 'active'
}

export interface Sought {
  text: string
  department: string
  role: string
  state: '' | 'usable' | KeyState
}

/** `usable` are those that let somebody in. `nobody` of a department is the empty one. */
export function fits(key: Key, state: KeyState, sought: Sought, title: (department: string) => string): boolean {
  const text = sought.text.trim().toLowerCase()
  const told = [key.name, key.id, key.prefix, key.user, key.department, title(key.department)]
  return (
    (!text || told.some((each) => each.toLowerCase().includes(text))) &&
    (!sought.department || key.department === (sought.department === '-' ? '' : sought.department)) &&
    (!sought.role || key.role === sought.role) &&
    (!sought.state || (sought.state === 'usable' ? state === 'active' || state === 'soon' : state === sought.state))
  )
}

/** How far a zone's clock is ahead of UTC at a moment, in seconds. */
function ahead(seconds: number, zone: string): number {
  const parts = new Intl.DateTimeFormat('en-US', { timeZone: zone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric' }).formatToParts(seconds * 1000)
  const part = (type: string): number => Number(parts.find((each) => each.type === type)?.value)
  return Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'), part('second')) / 1000 - seconds
}

/** The last second of a day such as `2026-12-31` in a zone, in Unix seconds; NaN for no date. */
export function endOfDay(date: string, zone: string): number {
  const plain = Date.parse(`${date}T23:59:59Z`) / 1000
  if (Number.isNaN(plain)) return Number.NaN
  const first = plain - ahead(plain, zone)
  return plain - ahead(first, zone)
}

/** The day of a moment in a zone, as date fields take it. */
export function dayOf(seconds: number, zone: string): string {
  return new Date((seconds + ahead(seconds, zone)) * 1000).toISOString().slice(0, 10)
}

const NETWORK = /^[0-9a-fA-F:.]+(\/\d{1,3})?$/
/** Those that cannot be a network; the gateway looks closer. */
export const strangeNetworks = (networks: readonly string[]): string[] => networks.filter((each) => !NETWORK.test(each))
