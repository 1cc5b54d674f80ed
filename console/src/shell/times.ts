/** Moments and numbers as people read them, in the language and the time zone that they chose. */
import { computed, ref } from 'vue'
import { locale } from './words'

const KEPT = 'sampan.zone'
const HOME = Intl.DateTimeFormat().resolvedOptions().timeZone

export const zone = ref(localStorage.getItem(KEPT) ?? HOME)

export function live(next: string): void {
  zone.value = next
  localStorage.setItem(KEPT, next)
}

export function zones(): string[] {
  const known = Intl.supportedValuesOf('timeZone')
  return [...new Set([HOME, 'Asia/Shanghai', 'UTC', ...known])]
}

const style = (options: Intl.DateTimeFormatOptions) =>
  computed(() => new Intl.DateTimeFormat(locale.value, { timeZone: zone.value, hourCycle: 'h23', ...options }))
const both = { month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit' } as const
const MOMENT = style({ year: 'numeric', ...both, second: '2-digit' })
const SHORT = style(both)
const CLOCK = style({ hour: '2-digit', minute: '2-digit', second: '2-digit' })
const DAY = style({ year: 'numeric', month: '2-digit', day: '2-digit' })

/** All of these take Unix seconds. */
export const moment = (seconds: number): string => MOMENT.value.format(seconds * 1000)
export const short = (seconds: number): string => SHORT.value.format(seconds * 1000)
export const clock = (seconds: number): string => CLOCK.value.format(seconds * 1000)
export const day = (seconds: number): string => DAY.value.format(seconds * 1000)

const plain = computed(() => new Intl.NumberFormat(locale.value))
const brief = computed(() => new Intl.NumberFormat(locale.value, { notation: 'compact', maximumFractionDigits: 1 }))
export const number = (value: number): string => plain.value.format(value)
export const compact = (value: number): string => brief.value.format(value)

/** Seconds as `380 ms`, `2.4 s`, `3 min`, `5 h`. */
export function span(seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`
  if (seconds < 90) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`
}

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB'] as const
export function bytes(count: number): string {
  let power = 0
  while (count >= 1000 && power < UNITS.length - 1) {
    count /= 1000
    power += 1
  }
  return `${power && count < 100 ? count.toFixed(1) : Math.round(count)} ${UNITS[power]}`
}
