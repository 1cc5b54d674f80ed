/** Limits as people say them, and what their pots show. Nothing here asks anybody. */
import type { Language } from '../../shell/words'
import type { Key, Limit, Measure, Period, Pot, Scope, ScopeName } from './wire'

export const UNITS: Record<Measure, readonly [zh: string, en: string]> = {
  pictures: ['张图片', 'pictures'],
  calls: ['次调用', 'calls'],
  tokens: ['token', 'tokens'],
  input_tokens: ['输入 token', 'input tokens'],
  output_tokens: ['输出 token', 'output tokens'],
  money: ['元', 'of money'],
  megapixels: ['百万像素', 'megapixels'],
  engine_seconds: ['秒引擎时间', 'engine seconds'],
  concurrency: ['个调用同时进行', 'open calls at once'],
}
const ONE: Partial<Record<Measure, string>> = { pictures: 'picture', calls: 'call', concurrency: 'open call at once' }
export const EVERY: Record<Period, readonly [zh: string, en: string]> = {
  minute: ['每分钟', 'a minute'],
  day: ['每天', 'a day'],
  month: ['每月', 'a month'],
}
const SPLIT = /,(?=[a-z]+=)/

const at = (language: Language): 0 | 1 => (language === 'zh' ? 0 : 1)
const figure = (value: number, language: Language): string =>
  new Intl.NumberFormat(language === 'zh' ? 'zh-CN' : 'en-GB', { maximumFractionDigits: 4 }).format(value)

/** `10 张图片`, `3,000 CNY`. */
export function amount(what: Measure, value: number, currency: string, language: Language): string {
  if (what === 'money') return `${figure(value, language)} ${currency === 'CNY' && language === 'zh' ? '元' : currency}`
  const one = language === 'en' && value === 1 ? ONE[what] : undefined
  return `${figure(value, language)} ${one ?? UNITS[what][at(language)]}`
}

/** `每天最多 10 张图片`, `At most 10 pictures a day`. */
export function most(limit: Pick<Limit, 'what' | 'most' | 'per'>, currency: string, language: Language): string {
  const said = amount(limit.what, limit.most, currency, language)
  const often = limit.per ? EVERY[limit.per][at(language)] : ''
  if (language === 'zh') return `${often}最多 ${said}`
  return `At most ${said}${often ? ` ${often}` : ''}`
}

/** How names are told: a department's title, a key's name. */
export type Naming = (scope: ScopeName, name: string) => string

const WHOSE: Record<ScopeName, readonly [zh: string, en: string]> = {
  department: ['部门', 'department'],
  role: ['角色', 'role'],
  user: ['用户', 'user'],
  key: ['密钥', 'key'],
  model: ['模型', 'model'],
  operation: ['操作', 'operation'],
}
const EACH_ZH: Record<ScopeName, string> = {
  department: '每个部门各算各的',
  role: '每个角色各算各的',
  user: '每位用户各算各的',
  key: '每把密钥各算各的',
  model: '每个模型各算各的',
  operation: '每种操作各算各的',
}
const isPattern = (name: string): boolean => /[*?]/.test(name)

/** Whom a limit concerns, and who shares a pot: `radiology 合计，每位用户各算各的`. */
export function whom(scope: Scope, naming: Naming, language: Language): string {
  const entries = Object.entries(scope).filter(([, name]) => name) as [ScopeName, string][]
  if (!entries.length) return language === 'zh' ? '所有人合计' : 'everybody together'
  const each = entries.filter(([, name]) => name === '*').map(([what]) => what)
  const fixed = entries.filter(([, name]) => name !== '*')
  if (language === 'zh') {
    const said = fixed.map(([what, name]) => (isPattern(name) ? `名称符合 ${name} 的${WHOSE[what][0]}` : `${WHOSE[what][0]}“${naming(what, name)}”`))
    if (!each.length) return `${said.join('、')}${fixed.some(([what, name]) => what !== 'key' || isPattern(name)) ? '合计' : ''}`
    return [...(said.length ? [said.join('、')] : []), ...each.map((what) => EACH_ZH[what])].join('，')
  }
  const said = fixed.map(([what, name]) => (isPattern(name) ? `${WHOSE[what][1]}s named ${name}` : `${WHOSE[what][1]} “${naming(what, name)}”`))
  if (!each.length) return said.join(', ') + (fixed.some(([what, name]) => what !== 'key' || isPattern(name)) ? ' together' : '')
  return [...said, `each ${each.map((what) => WHOSE[what][1]).join(' and ')} apart`].join(', ')
}

/** `department=icu,key=key_1` → its parts; signs that would break it were percent-encoded by the gateway. */
export function parts(pot: string): [ScopeName, string][] {
  if (!pot) return []
  return pot.split(SPLIT).map((part) => {
    const index = part.indexOf('=')
    return [part.slice(0, index) as ScopeName, part.slice(index + 1).replace(/%([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))]
  })
}

/** Whose pot it is, in words. */
export function whose(pot: string, naming: Naming, language: Language): string {
  const said = parts(pot).map(([what, name]) => {
    if (!name) return language === 'zh' ? `没有${WHOSE[what][0]}的` : `without a ${WHOSE[what][1]}`
    return `${WHOSE[what][at(language)]} ${naming(what, name)}`
  })
  if (!said.length) return language === 'zh' ? '共用' : 'shared by all'
  return said.join(' · ')
}

/** The fullest first. */
export const fullest = (pots: readonly Pot[]): Pot[] => [...pots].sort((one, other) => other.share - one.share)

export interface KeyPot {
  limit: Limit
  pot: Pot
}

/** What a key may spend of its own: limits set for it alone, and its pot of those that are each key's. */
export function potsOf(key: Key, limits: readonly Limit[]): KeyPot[] {
  const found: KeyPot[] = []
  for (const limit of limits) {
    const wanted = limit.scope.key
    if (!wanted) continue
    const own = limit.pots.find((pot) => parts(pot.pot).some(([what, name]) => what === 'key' && (name === key.id || (wanted !== '*' && name === key.name))))
    if (own) found.push({ limit, pot: own })
    else if (wanted === key.id || wanted === key.name) {
      found.push({ limit, pot: { pot: '', spent: 0, reserved: 0, left: limit.most, share: 0, since: null, resets: null } })
    }
  }
  return found
}

/** Which of a limit's windows the pots are in: when they begin anew; null for open calls. */
export const resets = (limit: Limit): number | null => limit.pots.find((pot) => pot.resets !== null)?.resets ?? null

const SIGNS = /[;|=,/\u0000-\u001f\u007f]/g
const LONGEST = 64

/** A name for a limit that nobody has yet: what the gateway takes has 1 to 64 signs, and none of `; | = , /`. */
export function freeName(wanted: string, taken: readonly string[]): string {
  const plain = wanted.replace(SIGNS, ' ').replace(/\s+/g, ' ').trim().slice(0, LONGEST - 4).trim() || 'limit'
  if (!taken.includes(plain)) return plain
  for (let number = 2; ; number += 1) {
    const next = `${plain} ${number}`
    if (!taken.includes(next)) return next
  }
}
