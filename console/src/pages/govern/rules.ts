/** Rules as people say them, and as the form holds them. Nothing here asks anybody. */
import type { Language } from '../../shell/words'
import { DAYS, type Day, type Effect, NAMED, type Named, type Operation, type Rule, type RuleBody } from './wire'

type Pair = readonly [zh: string, en: string]
const at = (language: Language): 0 | 1 => (language === 'zh' ? 0 : 1)

export const OPERATION: Record<Operation, Pair> = {
  text: ['文字问答', 'answer in text'],
  vision: ['看图问答', 'look at pictures'],
  generate: ['生成图片', 'draw pictures'],
  edit: ['修改图片', 'edit pictures'],
  embed: ['文本向量', 'embed texts'],
}
/** The same as names, for lists to choose from. */
export const OPERATION_NAME: Record<Operation, Pair> = {
  text: ['文字问答', 'Text'],
  vision: ['看图问答', 'Vision'],
  generate: ['生成图片', 'Drawing'],
  edit: ['修改图片', 'Editing pictures'],
  embed: ['文本向量', 'Embeddings'],
}
export const EFFECT: Record<Effect, Pair> = {
  local: ['只在本地回答', 'Stays in the house'],
  deny: ['拒绝', 'Denied'],
  mask: ['出门前遮住标识', 'Masked when it leaves'],
  allow: ['允许', 'Allowed'],
}
export const KIND: Record<string, Pair> = {
  resident_id: ['身份证号', 'resident identity number'],
  passport: ['护照、通行证号', 'passport or permit'],
  bank_card: ['银行卡号', 'bank card'],
  mobile: ['手机号', 'mobile number'],
  credit_code: ['统一社会信用代码', 'social credit code'],
  record_number: ['病历号、住院号等', 'number of a medical record'],
  medical: ['病历用词', 'medical words'],
}
const DAY: Record<Day, Pair> = {
  mon: ['周一', 'Monday'],
  tue: ['周二', 'Tuesday'],
  wed: ['周三', 'Wednesday'],
  thu: ['周四', 'Thursday'],
  fri: ['周五', 'Friday'],
  sat: ['周六', 'Saturday'],
  sun: ['周日', 'Sunday'],
}
export const dayName = (day: Day, language: Language): string => DAY[day][at(language)]
const WHO: Partial<Record<Named, Pair>> = { roles: ['角色', 'role'], users: ['用户', 'user'], keys: ['密钥', 'key'] }

/** How a name is told: a department's title, a key's name. */
export type Telling = (list: Named, name: string) => string

interface Split {
  yes: string[]
  no: string[]
}
function split(names: readonly string[] = []): Split {
  return { yes: names.filter((name) => !name.startsWith('!')), no: names.filter((name) => name.startsWith('!')).map((name) => name.slice(1)) }
}

/** Days as people say them: `周一到周五`, `Monday to Friday`. */
export function daySpan(days: readonly Day[], language: Language): string {
  const numbers = [...new Set(days)].map((day) => DAYS.indexOf(day)).sort((one, other) => one - other)
  const names = numbers.map((number) => dayName(DAYS[number] as Day, language))
  const first = names[0] ?? ''
  const last = names.at(-1) ?? ''
  const unbroken = numbers.length > 2 && numbers.every((number, index) => number === (numbers[0] ?? 0) + index)
  if (unbroken) return language === 'zh' ? `${first}到${last}` : `${first} to ${last}`
  return language === 'zh' ? names.join('、') : names.join(', ')
}

function chinese(rule: RuleBody, tell: Telling): string {
  const said: string[] = []
  const out: string[] = []
  for (const list of ['departments', 'roles', 'users', 'keys'] as const) {
    const { yes, no } = split(rule[list])
    const word = WHO[list]?.[0] ?? ''
    if (yes.length) said.push(word + yes.map((name) => tell(list, name)).join('、'))
    if (no.length) out.push(`除${word}${no.map((name) => tell(list, name)).join('、')}以外`)
  }
  const who = said.length ? `${said.join('、')}${out.length ? `（${out.join('，')}）` : ''}` : out.length ? `${out.join('、')}的所有人` : ''
  const how: string[] = []
  if (rule.days?.length || rule.hours?.length) {
    const days = rule.days?.length ? daySpan(rule.days, 'zh') : ''
    how.push(`在${days}${(rule.hours ?? []).join('、') || '全天'}${rule.time_zone ? `(${rule.time_zone})` : ''}`)
  }
  const from = split(rule.networks)
  if (from.yes.length) how.push(`从 ${from.yes.join('、')}`)
  if (from.no.length) how.push(`从 ${from.no.join('、')} 以外`)
  const models = split(rule.models)
  if (models.yes.length) how.push(`用模型 ${models.yes.join('、')} `)
  if (models.no.length) how.push(`用 ${models.no.join('、')} 以外的模型`)
  if (rule.dialects?.length) how.push(`按 ${rule.dialects.join('、')} 协议`)
  if (rule.tools?.length) how.push(`带着工具 ${rule.tools.join('、')} `)
  if (rule.collections?.length) how.push(`查知识库 ${rule.collections.join('、')} `)
  if (rule.operations?.length) how.push(rule.operations.map((each) => OPERATION[each][0]).join('、'))
  if (rule.over_pictures !== undefined) how.push(`一次要 ${rule.over_pictures} 张以上图片`)
  if (rule.over_megapixels !== undefined) how.push(`要超过 ${rule.over_megapixels} 百万像素的图片`)
  if (rule.over_tokens !== undefined) how.push(`回答可能超过 ${rule.over_tokens} token `)
  const what = how.join('').trim()
  const subject = who || what ? `${who}${what}的请求` : '所有请求'
  const end: Record<Effect, string> = { local: '只在本地回答', deny: '一律拒绝', mask: '出门前遮住身份证号等标识', allow: '可以放行' }
  return spaced(`${subject}${end[rule.effect]}`)
}

/** A blank between Chinese and Latin signs, as good typesetting has it. */
const spaced = (text: string): string =>
  text.replace(/([\u4e00-\u9fff])([A-Za-z0-9*])/g, '$1 $2').replace(/([A-Za-z0-9*])([\u4e00-\u9fff])/g, '$1 $2').replace(/  +/g, ' ')

function english(rule: RuleBody, tell: Telling): string {
  const of: string[] = []
  for (const list of ['departments', 'roles', 'users', 'keys'] as const) {
    const { yes, no } = split(rule[list])
    const word = WHO[list]?.[1]
    if (yes.length) of.push(`${word ? `${word} ` : ''}${yes.map((name) => tell(list, name)).join(', ')}`)
    if (no.length) of.push(`anybody but ${word ? `${word} ` : ''}${no.map((name) => tell(list, name)).join(', ')}`)
  }
  const more: string[] = []
  if (rule.operations?.length) more.push(`to ${rule.operations.map((each) => OPERATION[each][1]).join(' or ')}`)
  const models = split(rule.models)
  if (models.yes.length) more.push(`for the model ${models.yes.join(', ')}`)
  if (models.no.length) more.push(`for models other than ${models.no.join(', ')}`)
  if (rule.dialects?.length) more.push(`in the wire format ${rule.dialects.join(', ')}`)
  if (rule.tools?.length) more.push(`with the tool ${rule.tools.join(', ')}`)
  if (rule.collections?.length) more.push(`of the collection ${rule.collections.join(', ')}`)
  if (rule.over_pictures !== undefined) more.push(`for more than ${rule.over_pictures} pictures`)
  if (rule.over_megapixels !== undefined) more.push(`for pictures of more than ${rule.over_megapixels} megapixels`)
  if (rule.over_tokens !== undefined) more.push(`for answers of more than ${rule.over_tokens} tokens`)
  const networks = split(rule.networks)
  if (networks.yes.length) more.push(`from ${networks.yes.join(', ')}`)
  if (networks.no.length) more.push(`from outside ${networks.no.join(', ')}`)
  if (rule.hours?.length) more.push(`at ${rule.hours.join(', ')}`)
  if (rule.days?.length) more.push(`on ${daySpan(rule.days, 'en')}`)
  if (rule.time_zone && (rule.hours?.length || rule.days?.length)) more.push(`(${rule.time_zone})`)
  const calls = [of.length ? `Calls of ${of.join(', ')}` : more.length ? 'Calls' : 'All calls', ...more].join(' ')
  const end: Record<Effect, string> = {
    local: 'are answered in the house only',
    deny: 'are refused',
    mask: 'have identifiers masked before they leave',
    allow: 'are allowed',
  }
  return `${calls} ${end[rule.effect]}`
}

/** A rule in one sentence: `放射科的请求只在本地回答`. */
export const ruleWords = (rule: RuleBody, tell: Telling, language: Language): string =>
  language === 'zh' ? chinese(rule, tell) : english(rule, tell)

/** What the form holds: every list is there, numbers are null where they are not set. */
export interface RuleForm extends Record<Named, string[]> {
  name: string
  effect: Effect
  operations: Operation[]
  dialects: string[]
  hours: string[]
  days: Day[]
  time_zone: string
  over_pictures: number | null
  over_megapixels: number | null
  over_tokens: number | null
}

export function formOf(rule: Partial<Rule> = {}): RuleForm {
  const lists = Object.fromEntries(NAMED.map((name) => [name, [...(rule[name] ?? [])]])) as Record<Named, string[]>
  return {
    ...lists,
    name: rule.name ?? '',
    effect: rule.effect ?? 'local',
    operations: [...(rule.operations ?? [])],
    dialects: [...(rule.dialects ?? [])],
    hours: [...(rule.hours ?? [])],
    days: [...(rule.days ?? [])],
    time_zone: rule.time_zone ?? '',
    over_pictures: rule.over_pictures ?? null,
    over_megapixels: rule.over_megapixels ?? null,
    over_tokens: rule.over_tokens ?? null,
  }
}

/** The form as the gateway stores it: what is not set is left out. */
export function bodyOf(form: RuleForm): RuleBody {
  const { name: _, ...rest } = form
  const kept = Object.entries(rest).filter(([, value]) => value !== null && value !== '' && !(Array.isArray(value) && !value.length))
  return Object.fromEntries(kept) as unknown as RuleBody
}

/** A rule without what only the list tells. */
export function written(rule: Rule): RuleBody {
  const { id: _i, name: _n, source: _s, updated: _u, notes: _o, ...body } = rule
  return body
}

/** What decided, in words: `policy:NAME`, `residency:department …` and so on. */
export function reason(rule: string, language: Language): string {
  const [kind, ...rest] = rule.split(':')
  const name = rest.join(':')
  const index = at(language)
  if (kind === 'policy' && name === 'default') return (['没有规则允许它，而这里默认拒绝', 'no rule allows it, and what none allows is refused here'] as const)[index]
  if (kind === 'policy') return index === 0 ? `规则“${name}”` : `the rule “${name}”`
  if (kind !== 'residency') return rule
  const [what = '', ...more] = name.split(' ')
  const said: Record<string, Pair> = {
    department: ['部门的数据不出本单位', 'the department is confined to the house'],
    key: ['这把密钥只许在本地使用', 'the key is confined to the house'],
    model: ['这个模型只在本地回答', 'the model is confined to the house'],
    header: ['调用方在请求头里要求不出门', 'the caller’s header asks for it'],
    unread: ['内容还没有读过，读过之前不出门', 'what it holds was not read yet'],
    masking: ['图片里可能有要遮住的标识', 'a picture may hold what has to be masked'],
  }
  if (what === 'detected') {
    const found = KIND[more.join(' ')]?.[index] ?? more.join(' ')
    return index === 0 ? `内容里有${found}` : `it holds a ${found}`
  }
  return said[what]?.[index] ?? rule
}
