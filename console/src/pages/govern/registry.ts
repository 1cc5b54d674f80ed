/** What the pages of Govern know of the house: asked when it is first needed, asked again after every change. */
import { computed, inject, type InjectionKey, provide, ref, type Ref, shallowRef } from 'vue'
import { all, json, Refused } from '../../shell/api'
import { may } from '../../shell/session'
import { language, say } from '../../shell/words'
import * as limits from './limits'
import * as rules from './rules'
import { operationName, roleName } from './words'
import type { Besides, Department, Key, Limit, Operation, Pot, Role, Rule, RuleBody, ScopeName, User } from './wire'

const ROOT = '/admin/v1'
/** Whom the gateway explains a call for that names no key. */
const SOMEBODY = '(somebody)'
const SCOPE = { departments: 'department', keys: 'key', roles: 'role' } as const

/** A list of the gateway's: `load` asks once, `again` asks anew; what failed stays in `error`. */
export class Listing<T> {
  readonly data = shallowRef<T[]>([])
  readonly error = ref<unknown>(null)
  readonly known = ref(false)
  private asking: Promise<void> | null = null

  constructor(
    private readonly path: string,
    private readonly name: (item: T) => string,
  ) {}

  load(): Promise<void> {
    return this.known.value ? Promise.resolve() : this.again()
  }

  again(): Promise<void> {
    this.asking ??= this.ask().finally(() => (this.asking = null))
    return this.asking
  }

  private async ask(): Promise<void> {
    try {
      this.data.value = await all<T>(this.path, this.name)
      this.error.value = null
      this.known.value = true
    } catch (error) {
      this.error.value = error
    }
  }
}

export interface News {
  id: number
  text: string
  kind: 'good' | 'warning' | 'error'
}
export interface Question {
  title: string
  content: string
  word: string
  act: () => Promise<void>
}
const BRIEF = 4000 // milliseconds
const LONG = 12_000

export class House {
  readonly departments = new Listing<Department>(`${ROOT}/departments`, (each) => each.name)
  readonly users = new Listing<User>(`${ROOT}/users`, (each) => each.name)
  readonly keys = new Listing<Key>(`${ROOT}/keys`, (each) => each.id)
  readonly roles = new Listing<Role>(`${ROOT}/roles`, (each) => each.name)
  readonly limits = new Listing<Limit>(`${ROOT}/limits`, (each) => each.name)
  readonly rules = new Listing<Rule>(`${ROOT}/rules`, (each) => each.id)
  readonly besides: Ref<Besides | null> = ref(null)
  readonly currency = ref('')
  readonly zone = ref('')
  readonly models = ref<string[]>([])

  readonly news: Ref<News[]> = ref([])
  readonly question: Ref<Question | null> = shallowRef(null)
  private told = 0

  /** Says what happened; what went wrong stays longer. */
  readonly tell = (text: string, kind: News['kind'] = 'good'): void => {
    const id = (this.told += 1)
    this.news.value = [...this.news.value, { id, text, kind }]
    setTimeout(() => this.forget(id), kind === 'good' ? BRIEF : LONG)
  }
  forget(id: number): void {
    this.news.value = this.news.value.filter((each) => each.id !== id)
  }

  private readonly titles = computed(() => new Map(this.departments.data.value.map((each) => [each.name, each.title])))
  private readonly labels = computed(() => new Map(this.keys.data.value.map((each) => [each.id, each.name])))

  title(department: string): string {
    return this.titles.value.get(department) || department
  }

  /** A limit's scope or a pot's part as people call it. */
  readonly naming = (scope: ScopeName, name: string): string => {
    if (scope === 'department') return this.title(name)
    if (scope === 'key') return name === SOMEBODY ? say(['这样的调用方', 'of such a caller']) : (this.labels.value.get(name) ?? name)
    if (scope === 'role') return roleName(name)
    if (scope === 'operation' && name in rules.OPERATION_NAME) return operationName(name as Operation)
    return name
  }

  readonly ruleWords = (rule: RuleBody): string =>
    rules.ruleWords(rule, (list, name) => (list === 'departments' || list === 'keys' || list === 'roles' ? this.naming(SCOPE[list], name) : name), language.value)
  readonly most = (limit: Pick<Limit, 'what' | 'most' | 'per'>): string => limits.most(limit, this.currency.value || 'CNY', language.value)
  readonly whom = (limit: Pick<Limit, 'scope'>): string => limits.whom(limit.scope, this.naming, language.value)
  readonly whose = (pot: Pot | string): string => limits.whose(typeof pot === 'string' ? pot : pot.pot, this.naming, language.value)
  readonly amount = (limit: Limit, value: number): string => limits.amount(limit.what, value, this.currency.value || 'CNY', language.value)

  /** What limits and rules are counted and judged by beside themselves. */
  async surroundings(): Promise<void> {
    const counted = await json<{ currency: string; time_zone: string }>(`${ROOT}/limits?limit=1`)
    this.currency.value = counted.currency
    this.zone.value = counted.time_zone
    this.besides.value = await json<Besides>(`${ROOT}/rules?limit=1`)
  }

  /** The models that can be asked, to be proposed; a list that cannot be had proposes nothing. */
  async suggest(): Promise<void> {
    if (this.models.value.length || !may('call')) return
    try {
      this.models.value = (await json<{ data: { id: string }[] }>('/v1/models')).data.map((each) => each.id)
    } catch (error) {
      if (!(error instanceof Refused)) throw error
    }
  }
}

const HOUSE: InjectionKey<House> = Symbol('house')

export function found(): House {
  const house = new House()
  provide(HOUSE, house)
  return house
}

export function useHouse(): House {
  const house = inject(HOUSE)
  if (!house) throw new Error('a page of Govern stands outside of it')
  return house
}
